"""HEIC and AVIF, by the libraries that read them: libheif for the one, libavif (in Pillow) for the other. Policy is elsewhere.

Their boxes nest and refer to one another, so that a second reading of our own would be the way past a limit. Both
libraries read a header without decoding, and refuse what is larger than they take.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class HeifFacts:
    """`width_px` × `height_px` as the decoder will give them: libheif turns a HEIC itself, an AVIF is still to be turned."""

    width_px: int
    height_px: int
    exif_orientation: int
    frames: int


def heif_facts(data: bytes, format_name: str) -> HeifFacts:
    """Facts of a HEIC's or AVIF's header. Raises what Pillow and libheif raise."""
    with open_heif(data, format_name) as image:
        orientation = int(image.getexif().get(_ORIENTATION_TAG, 1)) if format_name == "avif" else 1
        frames = getattr(image, "n_frames", 1)
        return HeifFacts(*image.size, orientation if 1 <= orientation <= 8 else 1, frames)


def open_heif(data: bytes, format_name: str) -> Image.Image:
    """The picture, not decoded yet."""
    if format_name == "avif":
        return Image.open(io.BytesIO(data), formats=["AVIF"])
    # Imported here: most days have none, and libheif is 20 MB.
    import pillow_heif

    pillow_heif.options.THUMBNAILS = False
    return pillow_heif.HeifImageFile(io.BytesIO(data))
