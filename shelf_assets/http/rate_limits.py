"""Rate limits of keys and addresses: requests, bytes and pixels, counted over sliding windows.

Counted by `limits`, in this process or, for replicas that share their counts, in Redis. How a refusal is answered belongs
in `problem_answers`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from limits import RateLimitItem
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from shelf_assets.http.api_key import ApiKey
from shelf_assets.http.limit_text import parse_limits
from shelf_assets.http.networks import network_of
from shelf_assets.http.redis_storage import RedisStorage, redis_storage
from shelf_assets.http.window_counts import WindowCounts

if TYPE_CHECKING:
    from shelf_assets.http.settings import HttpSettings

Unit = Literal["requests", "bytes", "pixels"]


class RateLimitExceeded(Exception):
    """A limit has no room left. `what` names the limit and its holder, for the sender to read."""

    def __init__(self, retry_after_seconds: int, what: str) -> None:
        super().__init__(f"{what}; try again in {retry_after_seconds:,} s")
        self.retry_after_seconds, self.what = retry_after_seconds, what


class RateLimitsUnavailable(RuntimeError):
    """Redis does not answer, so nothing can be counted."""


@dataclass(frozen=True)
class _Window:
    """One limit of one holder (kind and id), and what is asked of it."""

    item: RateLimitItem
    holder: tuple[str, str]
    unit: Unit
    cost: int

    @property
    def identifiers(self) -> tuple[str, ...]:
        return (*self.holder, self.unit)

    @property
    def message(self) -> str:
        count, period = self.item.multiples, self.item.GRANULARITY.name
        every = period if count == 1 else f"{count} {period}s"
        message = f"the limit of this {self.holder[0]} is {self.item.amount:,} {self.unit} per {every}"
        return message if self.cost <= self.item.amount else f"{message}, and this alone asks for {self.cost:,}"


class RateLimits:
    """The limits of the settings, or of a key that has its own. All methods belong to one event loop."""

    def __init__(self, settings: HttpSettings) -> None:
        """Does not connect yet. Raises ValueError where SHELF_HTTP_REDIS_URL is no URL of a Redis."""
        self._of_keys: dict[Unit, str] = {
            "requests": settings.key_requests,
            "bytes": settings.key_bytes,
            "pixels": settings.key_pixels,
        }
        self._of_addresses: dict[Unit, str] = {
            "requests": settings.address_requests,
            "bytes": settings.address_bytes,
            "pixels": settings.address_pixels,
        }
        self._redis: RedisStorage | None = None
        self._storage: Any = WindowCounts()
        if settings.redis_url is not None:
            self._redis = redis_storage(settings.redis_url.get_secret_value())
            self._storage = self._redis.storage
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    async def consume(
        self, key: ApiKey | None, address: str, *, requests: int = 0, bytes_: int = 0, pixels: int = 0
    ) -> None:
        """Count what a sender asks for; counts nothing if any limit lacks room.

        Raises RateLimitExceeded and RateLimitsUnavailable.

        Of two requests that ask at the same moment for the last room one gets it; the other may already have been counted
        in a window that had room for both.
        """
        windows = self._windows(key, address, {"requests": requests, "bytes": bytes_, "pixels": pixels})
        async with self._translated_errors():
            await self._require_room(windows)
            for window in windows:
                if not await self._limiter.hit(window.item, *window.identifiers, cost=window.cost):
                    raise await self._refusal([window])

    async def check(
        self, key: ApiKey | None, address: str, *, requests: int = 1, bytes_: int = 1, pixels: int = 1
    ) -> None:
        """Check before a body is read that all limits have room left; counts nothing.

        Raises RateLimitExceeded and RateLimitsUnavailable.

        Ask for a body's declared length, or for the most that it may have if it declares none: otherwise a sender with
        little room left could have bodies read and refused for ever.
        """
        async with self._translated_errors():
            await self._require_room(
                self._windows(key, address, {"requests": requests, "bytes": bytes_, "pixels": pixels})
            )

    async def exhaust(self, key: ApiKey | None, address: str, *, pixels: int) -> None:
        """Use up the limits that lack room for so many pixels. Raises RateLimitsUnavailable."""
        async with self._translated_errors():
            for window in self._windows(key, address, {"pixels": pixels}):
                if await self._limiter.test(window.item, *window.identifiers, cost=window.cost):
                    continue
                stats = await self._limiter.get_window_stats(window.item, *window.identifiers)
                if stats.remaining > 0:
                    await self._limiter.hit(window.item, *window.identifiers, cost=stats.remaining)

    async def ping(self) -> None:
        """Raise RateLimitsUnavailable if counting does not work."""
        async with self._translated_errors():
            await self._storage.get("ready")

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            await self._redis.pool.aclose()

    def _windows(self, key: ApiKey | None, address: str, costs: Mapping[Unit, int]) -> list[_Window]:
        holders: list[tuple[tuple[str, str], Mapping[Unit, str]]] = []
        if key is not None:
            own: dict[Unit, str | None] = {"requests": key.requests, "bytes": key.bytes_, "pixels": key.pixels}
            holders.append((("key", key.key_id), {unit: own[unit] or text for unit, text in self._of_keys.items()}))
        # Counted apart: behind an untrusted proxy all share one address, and those without a key would use up its limits.
        kind = "address" if key is not None else "address without a key"
        holders.append(((kind, network_of(address)), self._of_addresses))
        return [
            _Window(item, holder, unit, cost)
            for holder, texts in holders
            for unit, cost in costs.items()
            if cost
            for item in parse_limits(texts[unit])
        ]

    async def _require_room(self, windows: Sequence[_Window]) -> None:
        tests = [self._limiter.test(window.item, *window.identifiers, cost=window.cost) for window in windows]
        # In memory each result is there at once: a task for each would cost as much as the counting.
        has_room = [await test for test in tests] if self._redis is None else await asyncio.gather(*tests)
        full = [window for window, has in zip(windows, has_room, strict=True) if not has]
        if full:
            raise await self._refusal(full)

    async def _refusal(self, full: Sequence[_Window]) -> RateLimitExceeded:
        """The refusal of the window that stays full the longest."""
        waits = [(await self._wait_seconds(window), window) for window in full]
        seconds, window = max(waits, key=lambda wait: wait[0])
        return RateLimitExceeded(seconds, window.message)

    async def _wait_seconds(self, window: _Window) -> int:
        """Seconds until there is room, if nothing else comes: the strategy's own sum, solved for the time.

        `limits` tells when the first unit of a window comes free; a photo needs millions of them.
        """
        period, room = window.item.get_expiry(), window.item.amount - window.cost
        if room < 0:
            return period
        before, before_seconds, now, now_seconds = await self._storage.get_sliding_window(
            window.item.key_for(*window.identifiers), period
        )
        if now <= room:
            seconds = before_seconds - (room - now + 1) * period / before if before else 0.0
        else:
            seconds = now_seconds - (room + 1) * period / now
        return max(1, math.floor(seconds) + 1)

    @asynccontextmanager
    async def _translated_errors(self) -> AsyncIterator[None]:
        if self._redis is None:
            yield
            return
        try:
            yield
        except self._redis.failures as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise RateLimitsUnavailable(
                f"counting in the Redis at {self._redis.masked_url} failed: {why}; look at SHELF_HTTP_REDIS_URL and the "
                "network"
            ) from error
