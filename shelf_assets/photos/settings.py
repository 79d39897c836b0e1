"""Settings of photos: their limits, at every way in and in the graph; near-duplicates; how uploads are decoded and rebuilt."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_assets.photos.limits import Limits

Format = Literal["jpeg", "png", "webp", "gif", "heic", "avif"]


class PhotoSettings(BaseModel):
    """What a photo may be, the same for the upload API, `shelf land` and `raw_images`, and how a sanitizer rebuilds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: int = Field(Limits.max_bytes, ge=1_000, description="Larger objects are rejected as too_large, unread.")
    max_pixels: int = Field(
        Limits.max_pixels,
        ge=1_000,
        description="Photos whose header claims more are rejected as too_many_pixels. So are those that would hold 512 MiB "
        "to decode, whatever is set: AVIF above 29 megapixels, WebP 31, HEIC 25 to 53, progressive JPEG 59 to 89, PNG and GIF "
        "67, other JPEG 178.",
    )
    max_side_px: int = Field(
        Limits.max_side_px,
        ge=64,
        le=65_500,
        description="Longest side; panoramas end at 16,384, and no JPEG is longer than 65,500.",
    )
    min_side_px: int = Field(
        Limits.min_side_px, ge=1, description="Shortest side; below it a photo is rejected as odd_shape."
    )
    max_aspect: float = Field(
        Limits.max_aspect, ge=1, description="Longer side over shorter; panoramas have up to 6, till receipts up to 20."
    )
    max_frames: int = Field(
        Limits.max_frames, ge=1, description="Frames of an animation, of which the first is the photo; more are a film."
    )
    formats: tuple[Format, ...] = Field(
        ("jpeg", "png", "webp", "gif", "heic", "avif"),
        description="Accepted formats, as JSON; without gif no animation's first frame is accepted. The graph accepts JPEG "
        "whatever is set, since that is what the upload API writes.",
    )
    max_adult_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Uploads that open_nsfw scores at or above are refused; unset: moderation is off.",
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
        description="Days before and after a photo's own in which its near-duplicates are searched.",
    )

    jpeg_quality: int = Field(
        90,
        ge=50,
        le=100,
        description="Quality of the stored JPEG (libjpeg's scale); it falls to 50 where the file would be larger than "
        "MAX_BYTES.",
    )
    decode_seconds: float = Field(5.0, gt=0, le=60, description="Longest time for decoding one uploaded photo.")
    decode_memory_bytes: int = Field(
        1_500_000_000, ge=200_000_000, description="Most memory for decoding one uploaded photo."
    )
    decoders: int = Field(0, ge=0, le=256, description="Decoder processes of a server; 0: one a core.")

    @property
    def limits(self) -> Limits:
        """Limits for the graph: JPEG always, since the upload API stores every format as one.

        `decoder_pool.sanitizer_options` has those of the upload API.
        """
        return Limits(
            max_bytes=self.max_bytes,
            max_pixels=self.max_pixels,
            max_side_px=self.max_side_px,
            min_side_px=self.min_side_px,
            max_aspect=self.max_aspect,
            max_frames=self.max_frames,
            formats=("jpeg", *(name for name in self.formats if name != "jpeg")),
        )
