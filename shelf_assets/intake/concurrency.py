"""A limit on concurrent uploads, because each may hold a whole photo in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from shelf_assets.http.problems import Problem
from shelf_assets.intake.problems import BUSY


class ConcurrencyLimiter:
    """At most `count` uploads at once; one owner has at most three quarters of them, so that slow uploads of one owner
    never shut out the others."""

    def __init__(self, count: int, in_flight: Gauge) -> None:
        self._count, self._owner_count = count, -(-3 * count // 4)
        self._of_owners: Counter[str] = Counter()
        self._in_flight = in_flight

    @contextmanager
    def slot(self, owner: str) -> Iterator[None]:
        """Hold one of the slots while the block lasts. Raises Problem if none is free."""
        if self._of_owners.total() >= self._count or self._of_owners[owner] >= self._owner_count:
            in_progress = (
                f"{self._of_owners.total():,} uploads are in progress, {self._of_owners[owner]:,} of them yours"
            )
            raise Problem(BUSY, in_progress, retry_after_seconds=1)
        self._of_owners[owner] += 1
        try:
            with self._in_flight.track_inprogress():
                yield
        finally:
            self._of_owners[owner] -= 1
            self._of_owners += Counter()  # drops owners with no upload
