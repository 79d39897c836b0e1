"""What all requests of an app share: settings, store, keys, limits, counters, clock. What is done with it is in the routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from prometheus_client import Gauge
from starlette.requests import HTTPConnection

from shelf_assets.http.keys import Keys
from shelf_assets.http.metrics import Metrics
from shelf_assets.http.problems import Problem
from shelf_assets.http.rate_limits import RateLimits
from shelf_assets.http.readiness import Readiness
from shelf_assets.intake.photo_states import States
from shelf_assets.intake.upload_store import UploadStore
from shelf_assets.lake.object_store import ObjectStore, RetryOptions
from shelf_assets.photos.decoder_pool import DecodersUnavailable, ImageSanitizer

if TYPE_CHECKING:
    from shelf_assets.settings import Settings

# A shopper's app waits: a store that does not answer is told of within about 10 seconds, and sent to again by the app.
API_RETRY_OPTIONS = RetryOptions(
    tries_again=2,
    first_pause_seconds=0.1,
    longest_pause_seconds=0.5,
    give_up_seconds=4.0,
    answer_seconds=20.0,
    silence_seconds=10.0,
)

_ASK_AT_ONCE = 8


class ConcurrencyLimiter:
    """As many uploads at once as there are places: each may hold a whole photo in memory.

    One owner has three quarters of them at most: who sends a byte at a time shuts out nobody else.
    """

    def __init__(self, count: int, taken: Gauge) -> None:
        self._count, self._share = count, -(-3 * count // 4)
        self._of_owners: Counter[str] = Counter()
        self._taken = taken

    @contextmanager
    def one(self, owner: str) -> Iterator[None]:
        """A place while the block lasts. Raises Problem where there is none."""
        if self._of_owners.total() >= self._count or self._of_owners[owner] >= self._share:
            under_way = f"{self._of_owners.total():,} uploads are under way, {self._of_owners[owner]:,} of them yours"
            raise Problem("busy", under_way, retry_after_seconds=1)
        self._of_owners[owner] += 1
        try:
            with self._taken.track_inprogress():
                yield
        finally:
            self._of_owners[owner] -= 1
            self._of_owners += Counter()  # forgets who has none


@dataclass
class Door:
    """`sanitizer` is set while the app runs."""

    settings: Settings
    store: ObjectStore
    receipts: UploadStore
    states: States
    keys: Keys
    quotas: RateLimits
    places: ConcurrencyLimiter
    readiness: Readiness
    metrics: Metrics
    owner_key: bytes
    now: Callable[[], datetime]
    # Whoever asks waits in line here, behind a slow store: uploads have the other threads.
    asking: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_ASK_AT_ONCE))
    sanitizer: ImageSanitizer | None = None

    @property
    def decoders(self) -> ImageSanitizer:
        """Who judges photos. Raises DecodersUnavailable before the app has begun and after its end."""
        if self.sanitizer is None:
            raise DecodersUnavailable("the door is closed")
        return self.sanitizer


def app_state_of(request: HTTPConnection) -> Door:
    door: Door = request.app.state.door
    return door
