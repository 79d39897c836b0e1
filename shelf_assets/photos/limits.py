"""Numeric limits of a photo. `rules` says which rule applies which limit; `settings` makes them configurable."""

from __future__ import annotations

from dataclasses import dataclass

from shelf_assets.vision.formats import ACCEPTED_FORMATS


@dataclass(frozen=True)
class Limits:
    """Photos beyond these limits are rejected without decoding. `vision.decode` bounds memory independently of them.

    Reasons for the defaults. 25 MB: twice the largest JPEG of a 16 MP phone, and as much as 100 MP phones write. 100 MP: no
    phone shoots more by default. 32,768 px: panoramas end at 16,384. Aspect 40: panoramas are up to six times as wide as high,
    till receipts up to 20 times as long. 1,000 frames: only the first frame is decoded, but longer animations are films.
    """

    max_bytes: int = 25_000_000
    max_pixels: int = 100_000_000
    max_side_px: int = 32_768
    min_side_px: int = 1
    max_aspect: float = 40.0
    max_frames: int = 1_000
    formats: tuple[str, ...] = ACCEPTED_FORMATS
    max_adult_score: float | None = None
    """A picture with this score of the moderation model or more is refused, 0 to 1; None: pictures are not scored."""
