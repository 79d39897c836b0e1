"""What the requests of the upload API share beside `HttpState`: settings, store, decoders, metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends
from starlette.requests import HTTPConnection

from shelf_assets.http.auth import Caller
from shelf_assets.http.settings import HttpSettings
from shelf_assets.intake.concurrency import ConcurrencyLimiter
from shelf_assets.intake.metrics import UploadMetrics
from shelf_assets.intake.photo_states import PhotoStates
from shelf_assets.intake.presigned import PresignedUpload
from shelf_assets.intake.upload_store import UploadStore, owner_hash
from shelf_assets.photos.decoder_pool import DecoderPool, DecodersUnavailable, ImageSanitizer

_STATE_THREADS = 8


@dataclass
class UploadState:
    """Shared by all requests; `UploadStateDependency` gives it to a route. `sanitizer` is set while the app runs.

    `presign` makes the upload form of (image_id, owner hash, time). `body_limits` bound the time of a photo's body.
    """

    upload_store: UploadStore
    photo_states: PhotoStates
    concurrency: ConcurrencyLimiter
    metrics: UploadMetrics
    owner_hash_key: bytes
    max_photo_bytes: int
    body_limits: HttpSettings
    presign: Callable[[str, str, datetime], PresignedUpload]
    # Requests for states wait for a slow store in threads of their own; uploads have the other threads.
    state_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_STATE_THREADS))
    sanitizer: ImageSanitizer | None = None

    @property
    def running_sanitizer(self) -> ImageSanitizer:
        """The sanitizer. Raises DecodersUnavailable before the app has started and after it has stopped."""
        if self.sanitizer is None:
            raise DecodersUnavailable("the server does not run")
        return self.sanitizer

    def owner_of(self, caller: Caller) -> str:
        """The hash by which the lake knows the owner of the caller's key."""
        return owner_hash(caller.key.owner, self.owner_hash_key)

    async def are_decoders_available(self) -> bool:
        if isinstance(self.sanitizer, DecoderPool):
            return self.sanitizer.ready
        return self.sanitizer is not None


async def upload_state_of(connection: HTTPConnection) -> UploadState:
    state: UploadState = connection.app.state.upload
    return state


UploadStateDependency = Annotated[UploadState, Depends(upload_state_of)]
