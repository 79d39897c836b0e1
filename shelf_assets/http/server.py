"""Serve an app: the socket, the bounds on connections and heads, and the draining of requests at a stop."""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import cast

import uvicorn
from fastapi import FastAPI

from shelf_assets.http.head_timeout import HeadTimeoutProtocol
from shelf_assets.http.logs import log_in_json
from shelf_assets.http.memory_trim import start_trimming
from shelf_assets.http.settings import HttpSettings

# Bounds the head, the trailers and the line of a chunk. h11 enforces it everywhere; httptools, the faster one, bounds none.
_MAX_HEAD_BYTES = 32 << 10
# Below the 1,024 descriptors that a process usually has.
_MAX_CONNECTIONS = 800
_BACKLOG = 512


class PortUnavailable(ValueError):
    """The server cannot listen on the requested port."""


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free port. Raises PortUnavailable."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise PortUnavailable(
            f"port {port} of {host} cannot be opened ({error.strerror}): choose another with --port"
        ) from None


def serve(app: FastAPI, settings: HttpSettings, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in progress."""
    log_in_json()
    start_trimming()
    config = uvicorn.Config(
        app,
        http=cast(
            "type[asyncio.Protocol]", functools.partial(HeadTimeoutProtocol, head_seconds=settings.silence_seconds)
        ),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        limit_concurrency=_MAX_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=settings.drain_seconds,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )
    uvicorn.Server(config).run(sockets=[listening])
