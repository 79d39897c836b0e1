"""Counts of sliding windows in the memory of one process, as a storage of `limits`. `rate_limits` names the windows."""

from __future__ import annotations

import math
import time

from cachetools import LRUCache
from limits.aio.storage import MemoryStorage

# About 40 MB. One address has up to three.
MAX_WINDOWS = 100_000


class WindowCounts(MemoryStorage):
    """Sliding windows in memory: each hit costs the same, and at most `max_windows` are held.

    The storage that this replaces walks through all windows at every hit: 10,000 addresses cost it 19 ms a request, and it
    holds every address of the last two days. Here the windows that are unused the longest are dropped.
    """

    def __init__(self, max_windows: int = MAX_WINDOWS) -> None:
        super().__init__()
        # By key: the number of its period since the clock's zero, the count of the period before it, and its own count.
        self._windows: LRUCache[str, tuple[int, int, int]] = LRUCache(max_windows)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` and return True, if the window has room for it."""
        period, before, now, left = self._read(key, expiry)
        if math.floor(before * left) + now + amount > limit:
            return False
        self._windows[key] = (period, before, now + amount)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Count of the previous period and the seconds until it weighs nothing; the same of the current period."""
        _, before, now, left = self._read(key, expiry)
        return before, left * expiry, now, left * expiry + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._windows.pop(key, None)

    def _read(self, key: str, expiry: int) -> tuple[int, int, int, float]:
        """Number of the current period, count of the previous one, count of the current one, the share of it that is left."""
        # Monotonic, because the time of day may be set back.
        elapsed = time.monotonic() / expiry
        period = math.floor(elapsed)
        last, before, now = self._windows.get(key, (period, 0, 0))
        if last == period - 1:
            before, now = now, 0
        elif last != period:
            before, now = 0, 0
        return period, before, now, 1 - (elapsed - period)
