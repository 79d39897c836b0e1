"""Settings of the upload API: how many uploads at once, how owners are hashed, how presigned uploads come in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class IntakeSettings(BaseModel):
    """How uploads come in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uploads_in_flight: int = Field(
        16, ge=1, le=1024, description="Uploads held at once, each of up to SHELF_PHOTOS_MAX_BYTES."
    )
    owner_hash_key: SecretStr | None = Field(
        None,
        description="Key of the hash that stands for an owner in the lake; a folder makes its own, S3 must be given one.",
    )
    form_seconds: int = Field(600, ge=10, le=604_800, description="How long a presigned upload form may be used.")
    form_endpoint_url: str | None = Field(
        None,
        description="Endpoint named in upload forms, where senders reach the store by another than AWS_ENDPOINT_URL.",
    )
    validate_incoming_seconds: int = Field(
        0,
        ge=0,
        le=86_400,
        description="Interval at which the server validates uploads that came by forms; 0: never, for deployments where "
        "Lambda does it on the bucket's events. Where neither does, they stay in incoming/.",
    )
