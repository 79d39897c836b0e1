"""What one process counts by itself, as a storage of `limits`. Which windows there are belongs in `quotas`."""

from __future__ import annotations

import math
import time

from cachetools import LRUCache
from limits.aio.storage import MemoryStorage

# About 40 MB. One address has up to three.
MAX_WINDOWS = 100_000


class WindowCounts(MemoryStorage):
    """Sliding windows in memory: each hit costs the same, and so many windows are held at most.

    The storage that this replaces walks through all windows at every hit: 10,000 addresses cost it 19 ms a request, and it
    holds every address of the last two days. Here those that are unused the longest are forgotten.
    """

    def __init__(self, max_windows: int = MAX_WINDOWS) -> None:
        super().__init__()
        # By key: the number of its period since the clock began, then the counts of the period before it and of its own.
        self._windows: LRUCache[str, tuple[int, int, int]] = LRUCache(max_windows)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` where the window has room for it."""
        period, before, now, left = self._read(key, expiry)
        if math.floor(before * left) + now + amount > limit:
            return False
        self._windows[key] = (period, before, now + amount)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Count of the period before and the seconds it still weighs; count of this one and the seconds it will."""
        _, before, now, left = self._read(key, expiry)
        return before, left * expiry, now, left * expiry + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._windows.pop(key, None)

    def _read(self, key: str, expiry: int) -> tuple[int, int, int, float]:
        """Number of the period that runs, count of the one before, count of this one, share of it that is left."""
        # Not the time of day, which may be set back.
        elapsed = time.monotonic() / expiry
        period = math.floor(elapsed)
        last, before, now = self._windows.get(key, (period, 0, 0))
        if last == period - 1:
            before, now = now, 0
        elif last != period:
            before, now = 0, 0
        return period, before, now, 1 - (elapsed - period)
