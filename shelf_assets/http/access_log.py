"""Around every request: its id, its line in the log, its counters, headers for browsers, and an answer whatever broke."""

from __future__ import annotations

import time
import traceback
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelf_assets.http.metrics import Metrics
from shelf_assets.http.problems import answer, problem_of
from shelf_assets.http.request_context import begin_request_context

_SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
# Who hung up got no answer; nginx's number for it is what people look for.
_NO_ANSWER = 499
_METHODS = frozenset(("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"))


class AccessLogMiddleware:
    """The middleware. The log has no address, owner, file name, token or byte of a body."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: Any) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_context = begin_request_context(scope)
        began, status = time.perf_counter(), _NO_ANSWER

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY_HEADERS)
                headers["X-Request-ID"] = request_context.request_id
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, noted_send)
            except Exception as error:  # noqa: BLE001 - the last resort: told in one line, without what was sent
                self._log.error("request broke", request_id=request_context.request_id, **_where(error))
                if status == _NO_ANSWER:
                    await answer(Request(scope), problem_of(error))(scope, receive, noted_send)
            finally:
                seconds = time.perf_counter() - began
                route = getattr(scope.get("route"), "path", "other")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.count(method, route, status, seconds, request_context.body_bytes, request_context.reason)
                self._log.info(
                    "request",
                    request_id=request_context.request_id,
                    method=method,
                    route=route,
                    status=status,
                    seconds=round(seconds, 4),
                    bytes=request_context.body_bytes,
                    reason=request_context.reason,
                    key_id=request_context.key_id,
                    cause=request_context.cause,
                )


def _where(error: Exception) -> dict[str, Any]:
    """Kind and place of an error. Not its text, which could quote what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at_lines": [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]}
