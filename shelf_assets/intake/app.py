"""The app: what its requests share, its routes, what stands around them. How it is served is in `server`, and on Lambda."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shelf_assets.http import health
from shelf_assets.http.access_log import AccessLogMiddleware
from shelf_assets.http.drain_body import DrainBodyMiddleware
from shelf_assets.http.keys import Keys
from shelf_assets.http.logs import request_log
from shelf_assets.http.metrics import Metrics
from shelf_assets.http.problems import ProblemBody, handle_problems
from shelf_assets.http.rate_limits import RateLimits
from shelf_assets.http.readiness import Readiness
from shelf_assets.intake import images, uploads
from shelf_assets.intake.app_state import API_RETRY_OPTIONS, ConcurrencyLimiter, Door
from shelf_assets.intake.incoming import validate_incoming_every
from shelf_assets.intake.owners import owner_hash_key
from shelf_assets.intake.photo_states import States
from shelf_assets.intake.upload_store import UploadStore
from shelf_assets.lake.store_options import open_object_store
from shelf_assets.machine import cores
from shelf_assets.photos.decoder_pool import DecoderPool, ImageSanitizer, sanitizer_options

if TYPE_CHECKING:
    from shelf_assets.settings import Settings

_ABOUT = """Shoppers' apps send photos of products; each comes out as a JPEG made of its pixels alone, under its day.

Send a token with every request, as `Authorization: Bearer TOKEN` or as `X-API-Key: TOKEN`. Every error is
`application/problem+json` with a `reason` that programs may rely on. 429 and 503 say in `Retry-After` when to come again;
the same bytes of one owner are one photo, so sending again is always safe.
"""


def utc_now() -> datetime:
    return datetime.now(UTC)


def build_app(
    settings: Settings, sanitizer: ImageSanitizer | None = None, now: Callable[[], datetime] = utc_now
) -> FastAPI:
    """The door as an ASGI app. Without an `sanitizer` it has decoder processes of its own while it runs.

    Raises OwnerHashKeyMissing, StoreUnavailable where the lake is a folder that cannot be made, and ValueError for a
    SHELF_HTTP_REDIS_URL that is none.
    """
    door = _door(settings, now)
    app = FastAPI(
        title="shelf_assets: the door",
        version=version("shelf-assets"),
        description=_ABOUT,
        lifespan=_lifespan(door, sanitizer),
        redoc_url=None,
        # A redirect would be made of the Host that the sender names.
        redirect_slashes=False,
    )
    app.state.door = door
    for router in (uploads.router, images.router, health.router):
        app.include_router(router)
    handle_problems(app)
    app.add_middleware(AccessLogMiddleware, metrics=door.metrics, log=request_log())
    app.add_middleware(DrainBodyMiddleware)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _door(settings: Settings, now: Callable[[], datetime]) -> Door:
    store = open_object_store(settings.lake, API_RETRY_OPTIONS)
    receipts, quotas, metrics = UploadStore(store), RateLimits(settings.http), Metrics()
    return Door(
        settings=settings,
        store=store,
        receipts=receipts,
        states=States(receipts, settings),
        keys=Keys(store),
        quotas=quotas,
        places=ConcurrencyLimiter(settings.intake.uploads_in_flight, metrics.places_taken),
        readiness=Readiness(store, quotas),
        metrics=metrics,
        owner_key=owner_hash_key(settings),
        now=now,
    )


def _lifespan(door: Door, sanitizer: ImageSanitizer | None) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        try:
            if sanitizer is not None:
                door.sanitizer = sanitizer
                async with _judging(door, sanitizer):
                    yield
                return
            with DecoderPool(
                sanitizer_options(door.settings.photos), door.settings.photos.decoders or cores()
            ) as decoders:
                door.sanitizer = decoders
                async with _judging(door, decoders):
                    yield
        finally:
            door.sanitizer = None
            await door.quotas.aclose()

    return running


@asynccontextmanager
async def _judging(door: Door, sanitizer: ImageSanitizer) -> AsyncIterator[None]:
    """Beside the requests, where the settings say so, uploads by forms are judged."""
    seconds = door.settings.intake.validate_incoming_seconds
    if not seconds:
        yield
        return
    task = asyncio.create_task(
        validate_incoming_every(seconds, door.receipts, sanitizer, door.settings.photos.max_bytes)
    )
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        # Error answers name it, as a model of theirs they would claim to be application/json.
        problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.setdefault("components", {}).setdefault("schemas", {})["ProblemBody"] = problem
        app.openapi_schema = schema
    return app.openapi_schema
