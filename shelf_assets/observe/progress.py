"""Progress of long work: stages report it, and listeners receive it. Drawing bars belongs in `terminal`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager

Listener = Callable[[str, int, int], None]
_listeners: list[Listener] = []

# A line in a run's log every ten seconds is enough to see that the run is alive.
LOG_INTERVAL_SECONDS = 10.0


@contextmanager
def listening(listener: Listener):
    """Call `listener(what, done, total)` for every report while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Progress:
    """Counts the finished part of some work; notifies listeners at once and the log every LOG_INTERVAL_SECONDS."""

    def __init__(self, what: str, total: int, log: Callable[[str], None]) -> None:
        self.what, self.total, self.done = what, total, 0
        self._log, self._logged = log, time.monotonic()
        self._notify()

    def advance(self, count: int = 1) -> None:
        self.done += count
        self._notify()
        now = time.monotonic()
        if now - self._logged >= LOG_INTERVAL_SECONDS:
            self._logged = now
            self._log(f"{self.what}: {self.done:,} of {self.total:,}")

    def _notify(self) -> None:
        for listener in _listeners:
            listener(self.what, self.done, self.total)
