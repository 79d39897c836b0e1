"""Answers before a body's end: the sender gets to read them, and the connection ends.

A server that answers and closes while bytes come in resets the connection, and the answer may be lost with it. So what
still comes is read and thrown away, for a while.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What a sender who has the answer may need to notice it, and how long nothing may come meanwhile.
_LINGER_SECONDS = 5.0
_SILENCE_SECONDS = 1.0


class DrainBodyMiddleware:
    """The middleware; the outermost, so that what it waits for is in nobody's time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        unread = True

        async def noted_receive() -> Message:
            nonlocal unread
            message = await receive()
            unread = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def lingering_send(message: Message) -> None:
            if message["type"] == "http.response.start" and unread:
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and unread and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _read_on(noted_receive)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await send(message)

        async def _read_on(receive: Receive) -> None:
            loop = asyncio.get_running_loop()
            until = loop.time() + _LINGER_SECONDS
            while unread and (left := until - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(left, _SILENCE_SECONDS)):
                        await receive()
                except TimeoutError:
                    return

        await self._app(scope, noted_receive, lingering_send)
