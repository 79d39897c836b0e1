"""Report which dependencies of a server are unavailable; cached for two seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

_CACHE_SECONDS = 2.0
_TIMEOUT_SECONDS = 3.0

# Returns whether a dependency is available.
ReadinessCheck = Callable[[], Awaitable[bool]]


class Readiness:
    """Runs the checks of a server, all at once, however many clients ask."""

    def __init__(self, checks: Mapping[str, ReadinessCheck]) -> None:
        self._checks = checks
        self._unavailable: tuple[str, ...] = ()
        self._checked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def unavailable(self) -> tuple[str, ...]:
        """The names of the dependencies that are unavailable; empty if the server is ready."""
        async with self._lock:
            if time.monotonic() - self._checked_at >= _CACHE_SECONDS:
                available = await asyncio.gather(*(_within_time(check) for check in self._checks.values()))
                self._unavailable = tuple(name for name, ok in zip(self._checks, available, strict=True) if not ok)
                self._checked_at = time.monotonic()
        return self._unavailable


async def _within_time(check: ReadinessCheck) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await check()
    except TimeoutError:
        return False
