"""`shelf serve intake`: the app behind a server that bounds what comes before an app is asked, and drains when it is to stop."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import socket
import threading
import time
from typing import Any, cast

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from shelf_assets.http.logs import log_in_json
from shelf_assets.intake.app import build_app
from shelf_assets.photos.moderation import ModerationMissing, require_moderation
from shelf_assets.settings import Settings, SettingsError

# Head, trailers, the line of a chunk: none may be larger. h11 holds to it everywhere; httptools, the faster one, bounds none.
_MOST_HEAD_BYTES = 32 << 10
# Below the 1,024 descriptors that a process usually has.
_MOST_CONNECTIONS = 800
_BACKLOG = 512
# Left to itself, glibc learns from a first photo to keep the memory of all that are freed: after 16 at once of 25 MB the
# server kept 780 MB.
_TRIM_SECONDS = 20.0


def open_socket(host: str, port: int) -> socket.socket:
    """The door's own place; port 0 takes a free one. Raises SettingsError where it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(f"port {port} of {host} cannot be had ({error.strerror}): give another by --port") from None


def ready_app(settings: Settings) -> FastAPI:
    """The app, after a look at what would fail with the first photo. Raises what `build_app` does, and SettingsError."""
    if settings.photos.max_adult_score is not None:
        try:
            require_moderation()
        except ModerationMissing as missing:
            raise SettingsError(str(missing)) from None
    return build_app(settings)


def serve(app: FastAPI, settings: Settings, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    log_in_json()
    _give_memory_back()
    config = uvicorn.Config(
        app,
        http=cast(
            "type[asyncio.Protocol]", functools.partial(_PatientNoLonger, head_seconds=settings.http.silence_seconds)
        ),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.http.trusted_proxies),
        forwarded_allow_ips=settings.http.trusted_proxies,
        limit_concurrency=_MOST_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=settings.http.drain_seconds,
        h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _give_memory_back() -> None:
    """Three times a minute hand what large bodies left behind back to the system; where the C library is glibc.

    Mapping each large block for itself (M_MMAP_THRESHOLD) does it at once, and cost a fifth of the photos a second: fresh
    memory is a page fault every 4 kB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:

        def trim_for_ever() -> None:
            while True:
                time.sleep(_TRIM_SECONDS)
                trim(0)

        threading.Thread(target=trim_for_ever, name="trim", daemon=True).start()


class _PatientNoLonger(H11Protocol):
    """Ends a connection whose request's head does not come within `head_seconds`; uvicorn itself waits for ever."""

    def __init__(self, *args: Any, head_seconds: float, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()
