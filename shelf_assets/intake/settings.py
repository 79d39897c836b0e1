"""Settings of uploads: concurrency, hashing of owners, and presigned upload forms."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shelf_assets.http.settings import HttpSettings
from shelf_assets.lake.settings import LakeSettings
from shelf_assets.photos.settings import PhotoSettings


class IntakeSettings(BaseModel):
    """Settings of uploads by HTTP and by presigned forms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uploads_in_flight: int = Field(
        16, ge=1, le=1024, description="Uploads held at once, each of up to SHELF_PHOTOS_MAX_BYTES."
    )
    owner_hash_key: SecretStr | None = Field(
        None,
        description="Key of the hash that represents an owner in the lake; made on first use for a folder, required on S3.",
    )
    form_seconds: int = Field(600, ge=10, le=604_800, description="How long a presigned upload form may be used.")
    form_endpoint_url: str | None = Field(
        None,
        description="Endpoint named in upload forms, if senders reach the store by another address than AWS_ENDPOINT_URL.",
    )
    validate_incoming_seconds: int = Field(
        0,
        ge=0,
        le=86_400,
        description="Interval at which the server validates presigned uploads; 0: never, for deployments where Lambda does it "
        "on the bucket's events. Without either, uploads stay in incoming/.",
    )


class UploadApiSettings(Protocol):
    """The groups of settings that the upload API is assembled from; the whole settings have them."""

    @property
    def home(self) -> Path: ...
    @property
    def lake(self) -> LakeSettings: ...
    @property
    def photos(self) -> PhotoSettings: ...
    @property
    def http(self) -> HttpSettings: ...
    @property
    def intake(self) -> IntakeSettings: ...
