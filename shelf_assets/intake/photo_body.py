"""A photo out of a request's body, as it comes: never more of it in memory than a photo may have, and not for ever.

What comes in a form is taken out of it by `form`. Whether it is a photo at all is asked later, of all its bytes.
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


class _Taker(Protocol):
    def feed(self, chunk: bytes) -> None: ...
    def photo(self) -> bytes: ...


class _Raw:
    """The body is the photo."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()

    def feed(self, chunk: bytes) -> None:
        self._bytes.write(chunk)

    def photo(self) -> bytes:
        return self._bytes.getvalue()


class Body:
    """The body of one request, read once."""

    def __init__(self, request: Request, max_photo_bytes: int, settings: HttpSettings) -> None:
        """Reads nothing yet. Raises Problem for a form that cannot be one."""
        self._request, self._settings = request, settings
        boundary = boundary_of(request.headers.get("content-type", ""))
        self._taker: _Taker = _Raw() if boundary is None else PhotoForm(boundary, max_photo_bytes)
        self.most_bytes = max_photo_bytes + (0 if boundary is None else FORM_BYTES)

    @property
    def declared_bytes(self) -> int | None:
        """What the sender says that it has; None where nothing is said."""
        told = self._request.headers.get("content-length", "")
        return int(told) if told.isascii() and told.isdigit() else None

    def require_declared_size(self) -> None:
        """Raise Problem where the sender says itself that it is too much."""
        declared = self.declared_bytes
        if declared is not None and declared > self.most_bytes:
            raise _too_large(f"{declared:,} bytes are announced", self.most_bytes)

    async def read(self) -> bytes:
        """The photo's bytes. Raises Problem as soon as it is too much or too slow, and ClientDisconnect."""
        request_context = request_context_of(self._request)
        async for chunk in self._chunks():
            request_context.body_bytes += len(chunk)
            if request_context.body_bytes > self.most_bytes:
                raise _too_large("more bytes came", self.most_bytes)
            self._taker.feed(chunk)
        return self._taker.photo()

    async def _chunks(self) -> AsyncIterator[bytes]:
        settings, clock = self._settings, asyncio.get_running_loop().time
        until = clock() + settings.body_seconds
        more = True
        while more:
            silence = min(settings.silence_seconds, until - clock())
            try:
                async with asyncio.timeout(silence):
                    message = await self._request.receive()
            except TimeoutError:
                raise Problem("too_slow_to_arrive", self._why_slow()) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            yield message.get("body", b"")
            more = message.get("more_body", False)

    def _why_slow(self) -> str:
        settings = self._settings
        return (
            f"{request_context_of(self._request).body_bytes:,} bytes came; a photo has {settings.body_seconds:g} s in all, "
            f"and {settings.silence_seconds:g} s from one piece to the next"
        )


def _too_large(what: str, most_bytes: int) -> Problem:
    return Problem("too_large", f"{what}, more than {most_bytes:,}")
