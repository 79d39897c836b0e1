"""Which of those that the door stands on do not answer. However many ask, they are asked every two seconds at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from starlette.concurrency import run_in_threadpool

from shelf_assets.http.keys import KEYS
from shelf_assets.http.rate_limits import RateLimits, RateLimitsUnavailable
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.photos.decoder_pool import DecoderPool, ImageSanitizer

_CACHE_SECONDS = 2.0
_ANSWER_SECONDS = 3.0


class Readiness:
    """Asks the store and whoever counts the limits, and looks at the decoders."""

    def __init__(self, store: ObjectStore, quotas: RateLimits) -> None:
        self._store, self._quotas = store, quotas
        self._found: tuple[str, ...] = ()
        self._found_at = float("-inf")
        self._lock = asyncio.Lock()

    async def lacking(self, sanitizer: ImageSanitizer | None) -> tuple[str, ...]:
        """What does not answer; empty where all is well."""
        async with self._lock:
            if time.monotonic() - self._found_at >= _CACHE_SECONDS:
                checks = (
                    _lacks("the store", run_in_threadpool(self._list_one_key)),
                    _lacks("the counting of limits", self._quotas.ready()),
                )
                self._found = tuple(name for name in await asyncio.gather(*checks) if name)
                self._found_at = time.monotonic()
        down = sanitizer is None or (isinstance(sanitizer, DecoderPool) and not sanitizer.ready)
        return (*self._found, "the decoders") if down else self._found

    def _list_one_key(self) -> None:
        # A listing, not a look at one object: of a bucket that does not exist the latter says "not there", like any other.
        next(self._store.list(f"{KEYS}/"), None)


async def _lacks(name: str, check: Awaitable[None]) -> str | None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await check
    except (StoreUnavailable, RateLimitsUnavailable, TimeoutError):
        return name
    return None
