"""Middleware that drains the body of a request that is answered early, and then closes the connection.

A server that answers and closes while bytes come in resets the connection, and the client may lose the answer. So the
rest of the body is read and discarded for a while.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# How long a client may need to notice the answer, and how long nothing may arrive meanwhile.
_DRAIN_SECONDS = 5.0
_SILENCE_SECONDS = 1.0


class DrainBodyMiddleware:
    """The outermost middleware, so that discarded bytes are not counted as received."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        is_unread = True

        async def observing_receive() -> Message:
            nonlocal is_unread
            message = await receive()
            is_unread = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def draining_send(message: Message) -> None:
            if message["type"] == "http.response.start" and is_unread:
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and is_unread and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await drain()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await send(message)

        async def drain() -> None:
            loop = asyncio.get_running_loop()
            until = loop.time() + _DRAIN_SECONDS
            while is_unread and (left := until - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(left, _SILENCE_SECONDS)):
                        await observing_receive()
                except TimeoutError:
                    return

        await self._app(scope, observing_receive, draining_send)
