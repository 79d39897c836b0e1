"""The bodies of successful answers, for OpenAPI. Problem answers belong in `http.problem_answers`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from shelf_assets.intake.photo_states import ImageState, State

ImageId = Annotated[
    str,
    Field(
        description="A UUIDv7 made by the server.",
        examples=["019abf2e-5c00-7d3a-9c41-0c6f4a1b2c3d"],
        json_schema_extra={"format": "uuid"},
    ),
]
Day = Annotated[date, Field(description="UTC day of the photo.", examples=["2026-11-24"])]
ReceivedAt = Annotated[
    datetime,
    Field(description="When the server received the upload, by its own clock.", examples=["2026-11-24T10:41:30.432Z"]),
]
Px = Annotated[int, Field(ge=1, examples=[3024])]


class ReceivedPhoto(BaseModel):
    """The photo is in the store and readable."""

    image_id: ImageId
    day: Day
    state: Literal["received"] = "received"
    received_at: ReceivedAt
    width_px: Annotated[Px, Field(description="Width of the stored photo, upright.")]
    height_px: Annotated[Px, Field(description="Height of the stored photo, upright.")]


class UploadForm(BaseModel):
    """POST all `fields`, unchanged, to `url` as multipart/form-data, then the photo as the last field, `file`."""

    image_id: ImageId
    url: str = Field(examples=["https://bucket.s3.eu-central-1.amazonaws.com/"])
    fields: dict[str, str] = Field(examples=[{"key": "incoming/019abf2e-5c00-7d3a-9c41-0c6f4a1b2c3d"}])
    expires_at: datetime = Field(examples=["2026-11-24T10:51:30.432Z"])
    max_bytes: int = Field(examples=[25_000_000])


class Image(BaseModel):
    """The state of a photo."""

    image_id: ImageId
    day: Day
    state: State = Field(
        description="received: stored, not yet classified. processed: it has a label. refused: it has a reason. "
        "erasure_requested: its owner requested its erasure."
    )
    received_at: ReceivedAt
    label: str | None = Field(description="What the photo shows, if `processed`.", examples=["carton"])
    confidence: float | None = Field(description="0 to 1.", examples=[0.93])
    model_id: str | None = Field(description="The model that made the label.", examples=["resnet50.a1_in1k"])
    reason: str | None = Field(description="Reason code, if `refused`.", examples=[None])
    asked_at: datetime | None = Field(description="When the erasure was requested.", examples=[None])


class RequestedErasure(BaseModel):
    """The request is durable; the erasure itself comes later."""

    image_id: ImageId
    state: Literal["erasure_requested"] = "erasure_requested"
    asked_at: datetime = Field(examples=["2026-11-24T11:02:07.114Z"])


def image_of(found: ImageState) -> Image:
    """The answer for a photo's state."""
    label = found.label
    return Image(
        image_id=found.image_id,
        day=found.received_at.date(),
        state=found.state,
        received_at=found.received_at,
        label=label.label if label else None,
        confidence=label.confidence if label else None,
        model_id=label.model_id if label else None,
        reason=found.reason,
        asked_at=found.asked_at,
    )
