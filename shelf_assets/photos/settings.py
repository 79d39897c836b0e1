"""Settings of photos: limits for every way in and for the graph, near-duplicates, and decoding of uploads."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_assets.photos.limits import Limits

Format = Literal["jpeg", "png", "webp", "gif", "heic", "avif"]


class PhotoSettings(BaseModel):
    """Limits of a photo, the same for the upload API, `shelf land` and `raw_images`, and options of the sanitizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: int = Field(Limits.max_bytes, ge=1_000, description="Larger objects are rejected as too_large, unread.")
    max_pixels: int = Field(
        Limits.max_pixels,
        ge=1_000,
        description="Photos whose header claims more are rejected as too_many_pixels. So are photos that need 512 MiB "
        "to decode, whatever the setting: AVIF above 29 megapixels, WebP 31, HEIC 25 to 53, progressive JPEG 59 to 89, PNG and GIF "
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
        Limits.max_frames, ge=1, description="Most frames of an animation; the first frame is the photo."
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
        description="process: a near-duplicate is accepted, with its group. skip: it is recorded as a duplicate and not processed.",
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
        """Limits of the graph, which always accept JPEG, because the upload API stores every photo as JPEG.

        Limits of the upload API: `decoder_pool.sanitizer_options`.
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
