"""What a photo may be, in numbers. Which rule asks for which is in `rules`, where they are set in `settings`."""

from __future__ import annotations

from dataclasses import dataclass

from shelf_assets.vision.formats import TAKEN


@dataclass(frozen=True)
class Limits:
    """What is not even tried. Whether decoding is affordable is decided in `vision.decode`, below whatever is set here.

    25 MB: twice the largest JPEG of a 16 MP phone, and what the 100 MP ones write. 100 MP: the camera of no phone
    shoots more unless told to. 32,768 px: panoramas end at 16,384; theirs are five times as wide as high. 1,000 frames:
    none but the first is decoded, but who sends an hour of animation does not send a photo.
    """

    max_bytes: int = 25_000_000
    max_pixels: int = 100_000_000
    max_side_px: int = 32_768
    min_side_px: int = 1
    max_aspect: float = 40.0
    max_frames: int = 1_000
    formats: tuple[str, ...] = TAKEN
    max_adult_score: float | None = None
    """From which score of the moderation model on a picture is refused, 0 to 1; None: nobody looks."""
