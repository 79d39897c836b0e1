"""How much a key and an address may send: requests, bytes and pixels, counted over a window that slides.

Counted by `limits`, in this process or, for replicas that share, in Redis. Who a key is belongs in `keys`; what is done
about a refusal belongs to the door.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from limits import RateLimitItem, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

from shelf_assets.http.window_counts import WindowCounts
from shelf_assets.observe.masking import without_password

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

    from shelf_assets.http.keys import ApiKey
    from shelf_assets.http.settings import HttpSettings

Kind = Literal["requests", "bytes", "pixels"]
# Long enough for a Redis in another zone, short enough that a door whose Redis hangs says so before its caller gives up.
_REDIS_SECONDS = 2.0
# Each is held for a round trip of under a millisecond.
_REDIS_CONNECTIONS = 64
_PREFIX = "shelf"


class RateLimitExceeded(Exception):
    """A limit is spent. `what` says whose and which, for the sender to read."""

    def __init__(self, retry_after_seconds: int, what: str) -> None:
        super().__init__(f"{what}; try again in {retry_after_seconds:,} s")
        self.retry_after_seconds, self.what = retry_after_seconds, what


class RateLimitsUnavailable(RuntimeError):
    """Nobody counts: Redis does not answer."""


@lru_cache(1024)
def parse_limits(text: str) -> tuple[RateLimitItem, ...]:
    """The limits of a text like 600/minute;20000/day, each once. Raises ValueError."""
    try:
        return tuple(dict.fromkeys(parse_many(text)))
    except ValueError:
        raise ValueError(f"{text!r} is no limit: it must be like 600/minute or 600/minute;20000/day") from None


def network_of(address: str) -> str:
    """What an address is counted as: an IPv4 itself, an IPv6 its /64, which one household has whole."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(ip), 64), strict=False))
        ip = ip.ipv4_mapped
    return str(ip)


@dataclass(frozen=True)
class _Window:
    """One limit of one sender, and what is asked of it."""

    item: RateLimitItem
    sender: tuple[str, str]
    kind: Kind
    cost: int

    @property
    def identifiers(self) -> tuple[str, ...]:
        return (*self.sender, self.kind)

    @property
    def told(self) -> str:
        many, period = self.item.multiples, self.item.GRANULARITY.name
        every = period if many == 1 else f"{many} {period}s"
        told = f"the limit of this {self.sender[0]} is {self.item.amount:,} {self.kind} per {every}"
        return told if self.cost <= self.item.amount else f"{told}, and this alone asks for {self.cost:,}"


class RateLimits:
    """The limits of the settings, or of a key where it has its own. All methods belong to one event loop."""

    def __init__(self, settings: HttpSettings) -> None:
        """Asks nobody yet. Raises ValueError where SHELF_HTTP_REDIS_URL is no URL of a Redis."""
        self._of_keys: dict[Kind, str] = {
            "requests": settings.key_requests,
            "bytes": settings.key_bytes,
            "pixels": settings.key_pixels,
        }
        self._of_addresses: dict[Kind, str] = {
            "requests": settings.address_requests,
            "bytes": settings.address_bytes,
            "pixels": settings.address_pixels,
        }
        self._pool: BlockingConnectionPool | None = None
        self._failures: tuple[type[Exception], ...] = ()
        self._told_url = ""
        if settings.redis_url is None:
            self._storage: Any = WindowCounts()
        else:
            url = settings.redis_url.get_secret_value()
            self._told_url = without_password(url.partition("?")[0])
            self._pool = _pool_of(url)
            # The pool has the URL; `limits` would tell it, password and all, in its own errors.
            self._storage = storage_from_string(
                "async+redis://",
                implementation="redispy",  # what is installed; coredis is the default
                key_prefix=_PREFIX,
                connection_pool=self._pool,  # type: ignore[arg-type]
            )
            self._failures = (*self._storage.base_exceptions, OSError)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    async def spend(
        self, key: ApiKey | None, address: str, *, requests: int = 0, bytes_: int = 0, pixels: int = 0
    ) -> None:
        """Count what a sender asks for; nothing of it where a limit has no room for all.

        Raises RateLimitExceeded, RateLimitsUnavailable.

        Two requests that ask at the same moment for the last room get it once; the one that is refused may by then have
        been counted in a window that had room for both.
        """
        windows = self._windows(key, address, {"requests": requests, "bytes": bytes_, "pixels": pixels})
        async with self._asked():
            await self._require_room(windows)
            for window in windows:
                if not await self._limiter.hit(window.item, *window.identifiers, cost=window.cost):
                    raise await self._refusal([window])

    async def check_room(
        self, key: ApiKey | None, address: str, *, requests: int = 1, bytes_: int = 1, pixels: int = 1
    ) -> None:
        """Look, before a body is read, whether all limits have room left; counts nothing.

        Raises RateLimitExceeded, RateLimitsUnavailable.

        A body that says its length is asked for with it, one that does not with the most that a photo may have: else a
        sender with little room left could have bodies read and refused for ever.
        """
        async with self._asked():
            await self._require_room(
                self._windows(key, address, {"requests": requests, "bytes": bytes_, "pixels": pixels})
            )

    async def exhaust(self, key: ApiKey | None, address: str, *, pixels: int) -> None:
        """Count what is left of the limits that have no room for so many pixels. Raises RateLimitsUnavailable."""
        async with self._asked():
            for window in self._windows(key, address, {"pixels": pixels}):
                if await self._limiter.test(window.item, *window.identifiers, cost=window.cost):
                    continue
                stats = await self._limiter.get_window_stats(window.item, *window.identifiers)
                if stats.remaining > 0:
                    await self._limiter.hit(window.item, *window.identifiers, cost=stats.remaining)

    async def ready(self) -> None:
        """Nothing where somebody counts. Raises RateLimitsUnavailable."""
        async with self._asked():
            await self._storage.get("ready")

    async def aclose(self) -> None:
        """Let go of the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    def _windows(self, key: ApiKey | None, address: str, costs: Mapping[Kind, int]) -> list[_Window]:
        senders: list[tuple[tuple[str, str], Mapping[Kind, str]]] = []
        if key is not None:
            own: dict[Kind, str | None] = {"requests": key.requests, "bytes": key.bytes_, "pixels": key.pixels}
            senders.append((("key", key.key_id), {kind: own[kind] or text for kind, text in self._of_keys.items()}))
        # Apart, or behind an ingress that nobody trusts whoever has no key would use up what those who have one may send.
        kind_of_sender = "address" if key is not None else "address without a key"
        senders.append(((kind_of_sender, network_of(address)), self._of_addresses))
        return [
            _Window(item, sender, kind, cost)
            for sender, texts in senders
            for kind, cost in costs.items()
            if cost
            for item in parse_limits(texts[kind])
        ]

    async def _require_room(self, windows: Sequence[_Window]) -> None:
        asked = [self._limiter.test(window.item, *window.identifiers, cost=window.cost) for window in windows]
        # What is counted here is there at once: a task for each would cost as much as the counting.
        has_room = [await each for each in asked] if self._pool is None else await asyncio.gather(*asked)
        full = [window for window, has in zip(windows, has_room, strict=True) if not has]
        if full:
            raise await self._refusal(full)

    async def _refusal(self, full: Sequence[_Window]) -> RateLimitExceeded:
        """The refusal of the window that is shut the longest."""
        waits = [(await self._wait_seconds(window), window) for window in full]
        seconds, window = max(waits, key=lambda wait: wait[0])
        return RateLimitExceeded(seconds, window.told)

    async def _wait_seconds(self, window: _Window) -> int:
        """How long until there is room, if nothing else comes: the strategy's own sum, solved for the time.

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
    async def _asked(self) -> AsyncIterator[None]:
        try:
            yield
        except self._failures as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise RateLimitsUnavailable(
                f"counting in the Redis at {self._told_url} failed: {why}; look at SHELF_HTTP_REDIS_URL and the network"
            ) from error


def _pool_of(url: str) -> BlockingConnectionPool:
    from redis.asyncio import BlockingConnectionPool

    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_REDIS_CONNECTIONS,
            timeout=_REDIS_SECONDS,
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
        )
    except (ValueError, TypeError):
        # What went wrong could quote the password.
        raise ValueError(
            "SHELF_HTTP_REDIS_URL is no URL of a Redis; it is like redis://:password@host:6379/0"
        ) from None
