"""What the requests of an app share: keys, rate limits, metrics, clock. A room's own state is beside its routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from shelf_assets.http.keys import Keys
from shelf_assets.http.metrics import HttpMetrics
from shelf_assets.http.rate_limits import RateLimits
from shelf_assets.http.settings import HttpSettings
from shelf_assets.lake.object_store import ObjectStore


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class HttpState:
    """Shared by all requests of an app; `HttpStateDependency` gives it to a route."""

    keys: Keys
    rate_limits: RateLimits
    metrics: HttpMetrics
    now: Callable[[], datetime] = utc_now


def http_state(settings: HttpSettings, store: ObjectStore, now: Callable[[], datetime] = utc_now) -> HttpState:
    """The state by the settings, over the keys in the store. Raises ValueError for a SHELF_HTTP_REDIS_URL that is none."""
    return HttpState(Keys(store), RateLimits(settings), HttpMetrics(), now)


async def http_state_of(connection: HTTPConnection) -> HttpState:
    state: HttpState = connection.app.state.http
    return state


HttpStateDependency = Annotated[HttpState, Depends(http_state_of)]
