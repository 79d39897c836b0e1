"""Middleware around every request: its id, log line and metrics, security headers, and an answer to unexpected errors."""

from __future__ import annotations

import time
import traceback
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelf_assets.http.metrics import HttpMetrics
from shelf_assets.http.problem_answers import answer
from shelf_assets.http.problems import INTERNAL, Problem
from shelf_assets.http.request_context import begin_request_context

_SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
# The client disconnected before the answer; nginx logs the same number.
_NO_ANSWER = 499
_METHODS = frozenset(("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"))


class AccessLogMiddleware:
    """The log has no address, owner, file name, token or byte of a body."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, log: Any) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = begin_request_context(scope)
        began, status = time.perf_counter(), _NO_ANSWER

        async def counting_receive() -> Message:
            message = await receive()
            context.body_bytes += len(message.get("body", b""))
            return message

        async def observing_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY_HEADERS)
                headers["X-Request-ID"] = context.request_id
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, counting_receive, observing_send)
            except Exception as error:  # noqa: BLE001 - the last resort: logged in one line, without what was sent
                self._log.error("unexpected error", request_id=context.request_id, **_place_of(error))
                if status == _NO_ANSWER:
                    problem = Problem(INTERNAL, "the request is not at fault; it may be sent again")
                    await answer(Request(scope), problem)(scope, receive, observing_send)
            finally:
                seconds = time.perf_counter() - began
                route = getattr(scope.get("route"), "path", "other")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.count(method, route, status, seconds, context.body_bytes, context.reason)
                self._log.info(
                    "request",
                    request_id=context.request_id,
                    method=method,
                    route=route,
                    status=status,
                    seconds=round(seconds, 4),
                    bytes=context.body_bytes,
                    reason=context.reason,
                    key_id=context.key_id,
                    cause=context.cause,
                )


def _place_of(error: Exception) -> dict[str, Any]:
    """Class and place of an error, without its text, which could quote what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at_lines": [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]}
