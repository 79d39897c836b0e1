"""Read a photo from a request's body: bounded in memory by the photo's limit, and in time.

`photo_form` takes the photo out of a form. Whether the bytes are a photo is checked later, by `photos`.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Protocol

from starlette.requests import ClientDisconnect, Request

from shelf_assets.http.problems import Problem
from shelf_assets.http.request_context import request_context_of
from shelf_assets.http.settings import HttpSettings
from shelf_assets.intake.photo_form import FORM_BYTES, PhotoForm, boundary_of
from shelf_assets.intake.problems import TOO_LARGE, TOO_SLOW_TO_ARRIVE


class _Parser(Protocol):
    def feed(self, chunk: bytes) -> None: ...
    def photo(self) -> bytes: ...


class _RawPhoto:
    """The whole body is the photo."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()

    def feed(self, chunk: bytes) -> None:
        self._bytes.write(chunk)

    def photo(self) -> bytes:
        return self._bytes.getvalue()


class PhotoBody:
    """The body of one request, to be read once."""

    def __init__(self, request: Request, max_photo_bytes: int, settings: HttpSettings) -> None:
        """Reads nothing yet. Raises Problem for an unreadable or unsupported multipart Content-Type."""
        self._request, self._settings = request, settings
        boundary = boundary_of(request.headers.get("content-type", ""))
        self._parser: _Parser = _RawPhoto() if boundary is None else PhotoForm(boundary, max_photo_bytes)
        self.max_bytes = max_photo_bytes + (0 if boundary is None else FORM_BYTES)

    @property
    def declared_bytes(self) -> int | None:
        """The declared Content-Length; None without one."""
        text = self._request.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def check_declared_size(self) -> None:
        """Raise Problem if the declared length is above the limit."""
        declared = self.declared_bytes
        if declared is not None and declared > self.max_bytes:
            raise _too_large(f"{declared:,} bytes are announced", self.max_bytes)

    async def read(self) -> bytes:
        """The photo's bytes. Raises Problem as soon as the body is too large or too slow, and ClientDisconnect."""
        context = request_context_of(self._request)
        async for chunk in self._chunks():
            if context.body_bytes > self.max_bytes:
                raise _too_large("more bytes came", self.max_bytes)
            self._parser.feed(chunk)
        return self._parser.photo()

    async def _chunks(self) -> AsyncIterator[bytes]:
        settings, clock = self._settings, asyncio.get_running_loop().time
        until = clock() + settings.body_seconds
        more = True
        while more:
            silence_seconds = min(settings.silence_seconds, until - clock())
            try:
                async with asyncio.timeout(silence_seconds):
                    message = await self._request.receive()
            except TimeoutError:
                raise Problem(TOO_SLOW_TO_ARRIVE, self._limits_message()) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            yield message.get("body", b"")
            more = message.get("more_body", False)

    def _limits_message(self) -> str:
        settings = self._settings
        return (
            f"{request_context_of(self._request).body_bytes:,} bytes came; a photo has {settings.body_seconds:g} s in all, "
            f"and {settings.silence_seconds:g} s from one piece to the next"
        )


def _too_large(what: str, max_bytes: int) -> Problem:
    return Problem(TOO_LARGE, f"{what}, more than {max_bytes:,}")
