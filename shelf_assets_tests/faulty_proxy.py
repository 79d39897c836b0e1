"""A bad network: a proxy on loopback, in front of a real S3 server, that breaks a seeded share of the requests.

Expectations about the client belong in the tests.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["slow_down", "server_error", "reset", "lost_answer", "broken_body", "truncated_body", "delay", "hang"]
DELAY_SECONDS = 0.2
# Longer than any client in the tests waits.
HANG_SECONDS = 60.0
_PASSED_ON = ("connection", "transfer-encoding", "content-length", "keep-alive")
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass
class Faults:
    """The share of requests that get each fault; `only` selects the requests (method, path with query) that may get one.

    `slow_down` and `server_error` answer 503 and 500. `reset` cuts the connection before the request reaches the server,
    `lost_answer` after the server has handled it. `broken_body` resets the connection in the middle of an answer's body,
    and `truncated_body` closes it there. `delay` and `hang` make the client wait.
    """

    shares: dict[Fault, float]
    only: Callable[[str, str], bool] = lambda method, path: True
    seed: int = 0
    met: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._draws = random.Random(self.seed)

    def of(self, method: str, path: str) -> Fault | None:
        """The fault of this request; the n-th request gets the same one in every run."""
        if not self.only(method, path):
            return None
        with self._lock:
            draw = self._draws.random()
            for fault, share in self.shares.items():
                draw -= share
                if draw < 0:
                    self.met[fault] += 1
                    return fault
        return None


@contextmanager
def faulty_proxy(endpoint_url: str, faults: Faults) -> Iterator[str]:
    """The URL of a proxy to `endpoint_url`. Signatures stay valid because the Host header is not changed."""

    class Handler(_Handler):
        upstream = urlsplit(endpoint_url).netloc
        plan = faults

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="proxy", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    upstream = ""
    plan: Faults
    protocol_version = "HTTP/1.1"
    # Without it, every answer waits 40 ms for an acknowledgement between head and body.
    disable_nagle_algorithm = True

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.plan.of(self.command, self.path)
        if fault in ("delay", "hang"):
            time.sleep(DELAY_SECONDS if fault == "delay" else HANG_SECONDS)
        if fault == "reset":
            return self._cut(reset=True)
        if fault in ("slow_down", "server_error"):
            return self._answer(503 if fault == "slow_down" else 500, {"Content-Type": "application/xml"}, _SLOW_DOWN)
        status, headers, answer = self._ask(body)
        if fault == "lost_answer":
            return self._cut(reset=True)
        if fault in ("broken_body", "truncated_body") and answer:
            self._answer(status, headers, answer, send_bytes=len(answer) // 2)
            return self._cut(reset=fault == "broken_body")
        return self._answer(status, headers, answer)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """`do_GET` and so on: every method is handled in the same way."""
        if name.startswith("do_"):
            return self._relay
        raise AttributeError(name)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _PASSED_ON}
            if body or "Content-Length" in self.headers:
                headers["Content-Length"] = str(len(body))
            connection.request(self.command, self.path, body=body or None, headers=headers)
            response = connection.getresponse()
            given = {name: value for name, value in response.getheaders() if name.lower() not in _PASSED_ON}
            if self.command == "HEAD":
                given["Content-Length"] = response.headers.get("Content-Length", "0")
            return response.status, given, response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, send_bytes: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:send_bytes])
        self.wfile.flush()

    def _cut(self, reset: bool) -> None:
        if reset:  # closing discards unsent data, so the peer sees a reset instead of an end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def handle(self) -> None:
        with suppress(OSError):  # the client has disconnected
            super().handle()

    def finish(self) -> None:
        with suppress(OSError, ValueError):  # cut intentionally
            super().finish()

    def log_message(self, *_: object) -> None:
        """No log line per request."""
