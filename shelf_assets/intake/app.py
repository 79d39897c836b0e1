"""The upload API as an app. `http.server` serves it, and `lambda_function` on Lambda."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial

from fastapi import FastAPI

from shelf_assets.http.app import Lifespan
from shelf_assets.http.app import build_app as build_http_app
from shelf_assets.http.state import HttpState, http_state, utc_now
from shelf_assets.intake import images, upload_forms, uploads
from shelf_assets.intake.concurrency import ConcurrencyLimiter
from shelf_assets.intake.incoming import validate_incoming_every
from shelf_assets.intake.metrics import UploadMetrics
from shelf_assets.intake.owners import owner_hash_key
from shelf_assets.intake.photo_states import PhotoStates
from shelf_assets.intake.presigned import presign
from shelf_assets.intake.problems import UPLOAD_ERRORS
from shelf_assets.intake.settings import UploadApiSettings
from shelf_assets.intake.upload_state import UploadState
from shelf_assets.intake.upload_store import UploadStore
from shelf_assets.lake.object_store import ObjectStore, RetryOptions
from shelf_assets.lake.store_options import open_object_store, store_options
from shelf_assets.machine import cores
from shelf_assets.photos.decoder_pool import DecoderPool, ImageSanitizer, sanitizer_options
from shelf_assets.photos.moderation import require_moderation

_DESCRIPTION = """Shoppers' apps upload photos of products. Each is stored as a JPEG made of its pixels alone, under its day.

Send a token with every request, as `Authorization: Bearer TOKEN` or as `X-API-Key: TOKEN`. Every error is
`application/problem+json` with a stable `reason`. Answers 429 and 503 say in `Retry-After` when to try again. The same bytes
of one owner are one photo, so it is always safe to send a photo again.
"""
# A shopper's app waits for the answer: an unavailable store is reported within about 10 seconds, and the app tries again.
_RETRY_OPTIONS = RetryOptions(
    tries_again=2,
    first_pause_seconds=0.1,
    longest_pause_seconds=0.5,
    give_up_seconds=4.0,
    answer_seconds=20.0,
    silence_seconds=10.0,
)


def build_app(
    settings: UploadApiSettings, sanitizer: ImageSanitizer | None = None, now: Callable[[], datetime] = utc_now
) -> FastAPI:
    """The upload API as an ASGI app. Without a `sanitizer` it starts decoder processes of its own while it runs.

    Raises OwnerHashKeyMissing, ModerationMissing, StoreUnavailable if the lake is a folder that cannot be made, and
    ValueError for a SHELF_HTTP_REDIS_URL that is none.
    """
    if settings.photos.max_adult_score is not None:
        require_moderation()
    store = open_object_store(settings.lake, _RETRY_OPTIONS)
    shared = http_state(settings.http, store, now)
    state = _upload_state(settings, store, shared)
    app = build_http_app(
        "upload API",
        _DESCRIPTION,
        (uploads.router, upload_forms.router, images.router),
        shared,
        errors=UPLOAD_ERRORS,
        readiness_checks={"decoders": state.are_decoders_available},
        lifespan=_lifespan(settings, state, sanitizer),
    )
    app.state.upload = state
    return app


def _upload_state(settings: UploadApiSettings, store: ObjectStore, shared: HttpState) -> UploadState:
    upload_store, metrics = UploadStore(store), UploadMetrics(shared.metrics.registry)
    return UploadState(
        upload_store=upload_store,
        photo_states=PhotoStates(upload_store, settings.lake.url, store_options(settings.lake)),
        concurrency=ConcurrencyLimiter(settings.intake.uploads_in_flight, metrics.in_flight),
        metrics=metrics,
        owner_hash_key=owner_hash_key(settings.intake, settings.home, settings.lake.on_s3),
        max_photo_bytes=settings.photos.max_bytes,
        body_limits=settings.http,
        presign=partial(presign, settings.lake, settings.intake, settings.photos.max_bytes),
    )


def _lifespan(settings: UploadApiSettings, state: UploadState, sanitizer: ImageSanitizer | None) -> Lifespan:
    @asynccontextmanager
    async def decoding_with(running: ImageSanitizer) -> AsyncIterator[None]:
        state.sanitizer = running
        try:
            async with _validating(settings, state.upload_store, running):
                yield
        finally:
            state.sanitizer = None

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if sanitizer is not None:
            async with decoding_with(sanitizer):
                yield
            return
        count = settings.photos.decoders or cores()
        with DecoderPool(sanitizer_options(settings.photos), count) as pool:
            async with decoding_with(pool):
                yield

    return lifespan


@asynccontextmanager
async def _validating(
    settings: UploadApiSettings, upload_store: UploadStore, sanitizer: ImageSanitizer
) -> AsyncIterator[None]:
    """Validate uploads by forms beside the requests, if the settings say so."""
    seconds = settings.intake.validate_incoming_seconds
    if not seconds:
        yield
        return
    task = asyncio.create_task(validate_incoming_every(seconds, upload_store, sanitizer, settings.photos.max_bytes))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
