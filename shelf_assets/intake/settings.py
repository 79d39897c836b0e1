"""The knobs of the door, and of what a photo may be. They are read with all others, in `shelf_assets.settings`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from shelf_assets.intake.limits import Limits

Format = Literal["jpeg", "png", "webp", "gif", "heic", "avif"]


class IntakeSettings(BaseModel):
    """What the validator refuses, at every door and in `raw_images`; and how the HTTP door serves."""

    max_photo_bytes: int = Field(
        Limits.max_bytes, ge=1_000, description="Larger objects are rejected as too_large, unread."
    )
    max_photo_pixels: int = Field(
        Limits.max_pixels,
        ge=1_000,
        description="Photos whose header claims more are rejected as too_many_pixels. So are those that would hold 512 MiB "
        "to decode, whatever is set: AVIF above 29 megapixels, WebP 31, HEIC 25 to 53, progressive JPEG 59 to 89, PNG and GIF "
        "67, other JPEG 178.",
    )
    max_photo_side_px: int = Field(
        Limits.max_side_px,
        ge=64,
        le=65_500,
        description="Longest side; panoramas end at 16,384, and no JPEG is longer than 65,500.",
    )
    min_photo_side_px: int = Field(
        Limits.min_side_px, ge=1, description="Shortest side; below it a photo is rejected as odd_shape."
    )
    max_photo_aspect: float = Field(
        Limits.max_aspect, ge=1, description="Longer side over shorter; panoramas have up to 6, till receipts up to 20."
    )
    max_photo_frames: int = Field(
        Limits.max_frames, ge=1, description="Frames of an animation, of which the first is the photo; more are a film."
    )
    photo_formats: tuple[Format, ...] = Field(
        ("jpeg", "png", "webp", "gif", "heic", "avif"),
        description="Formats that are taken, as JSON; without gif no animation's first frame is. The graph takes JPEG "
        "whatever is set, since that is what the doors write.",
    )
    max_adult_score: float | None = Field(
        None, ge=0, le=1, description="Doors refuse pictures that open_nsfw scores at or above; unset: nobody looks."
    )
    near_duplicates: Literal["process", "skip"] = Field(
        "process",
        description="process: a near-duplicate is accepted, with its group. skip: it is a duplicate, and goes no further.",
    )
    near_duplicate_bits: int = Field(
        4, ge=0, le=7, description="Bits of 64 in which the perceptual hashes of near-duplicates may differ."
    )
    near_duplicate_days: int = Field(
        35,
        ge=0,
        le=3660,
        description="Days before and after a photo's own in which its near-duplicates are looked for.",
    )

    jpeg_quality: int = Field(
        90,
        ge=50,
        le=100,
        description="Quality of the JPEG that a door makes of a photo's pixels (libjpeg's scale); it falls to 50 where "
        "the file would be larger than MAX_PHOTO_BYTES.",
    )
    decode_seconds: float = Field(5.0, gt=0, le=60, description="What decoding one photo may take at a door.")
    decode_memory_bytes: int = Field(
        1_500_000_000, ge=200_000_000, description="What decoding one photo may hold at a door."
    )
    decoders: int = Field(0, ge=0, le=256, description="Decoder processes of the HTTP door; 0: one a core.")
    uploads_in_flight: int = Field(
        16, ge=1, le=1024, description="Uploads that the HTTP door holds at once, each of up to MAX_PHOTO_BYTES."
    )
    body_seconds: float = Field(60.0, gt=0, description="How long a photo may take to arrive.")
    silence_seconds: float = Field(10.0, gt=0, description="How long a sender may say nothing.")
    drain_seconds: int = Field(20, ge=0, description="How long a server that is told to stop finishes what it has.")

    key_requests: str = Field("600/minute", description="Requests of one API key: amount/period, several by ';'.")
    key_bytes: str = Field("20000000000/day", description="Bytes of one API key.")
    key_pixels: str = Field("200000000000/day", description="Pixels of one API key; a phone's photo has 12 million.")
    address_requests: str = Field(
        "1200/minute",
        description="Requests of one address (IPv6: its /64 network); those without a valid key are counted apart.",
    )
    address_bytes: str = Field("20000000000/day", description="Bytes of one address.")
    address_pixels: str = Field("200000000000/day", description="Pixels of one address.")
    redis_url: SecretStr | None = Field(
        None,
        description="Redis that replicas share their limits through, redis://host:port/0; none: this process alone.",
    )
    trusted_proxies: str = Field(
        "", description="Addresses whose X-Forwarded-For is believed, by commas; none: the peer is the sender."
    )
    owner_hash_key: SecretStr | None = Field(
        None,
        description="Key of the hash that stands for an owner in the lake; a folder makes its own, S3 must be given one.",
    )
    upload_seconds: int = Field(600, ge=10, le=604_800, description="How long a presigned upload may be used.")
    upload_endpoint_url: str | None = Field(
        None, description="Endpoint that forms name, where senders reach the store by another than AWS_ENDPOINT_URL."
    )
    judge_incoming_seconds: int = Field(
        0,
        ge=0,
        le=86_400,
        description="How often the HTTP server judges the uploads by forms that came; 0: never, which is for Lambda, "
        "told by the bucket's events. Where neither does, nobody judges them.",
    )

    @field_validator("key_requests", "key_bytes", "key_pixels", "address_requests", "address_bytes", "address_pixels")
    @classmethod
    def _is_a_limit(cls, text: str, field: ValidationInfo) -> str:
        if text == cls.model_fields[str(field.field_name)].default:
            return text  # every process reads the settings, and few count: the library costs 50 ms to import
        from limits import parse_many

        try:
            parse_many(text)
        except ValueError:
            raise ValueError("must be like 600/minute or 600/minute;20000/day") from None
        return text

    @property
    def photo_limits(self) -> Limits:
        """What a photo may be, for the graph: JPEG always, which is what a door makes of every format.

        What a door takes is in `decoders.examination`.
        """
        return Limits(
            max_bytes=self.max_photo_bytes,
            max_pixels=self.max_photo_pixels,
            max_side_px=self.max_photo_side_px,
            min_side_px=self.min_photo_side_px,
            max_aspect=self.max_photo_aspect,
            max_frames=self.max_photo_frames,
            formats=("jpeg", *(name for name in self.photo_formats if name != "jpeg")),
        )
