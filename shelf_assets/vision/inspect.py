"""Is this a photo we take? Header first, then a full decode at the smallest scale. Never raises, whatever the bytes.

Pixels for the models are made in `preprocess`; what is accepted here can be decoded there.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import simplejpeg
from PIL import Image, UnidentifiedImageError

from shelf_assets.vision.decode import ORIENTATION_TAG, PILLOW_FORMATS, jpeg_rgb, opened, rgb, sniff
from shelf_assets.vision.reasons import Reason

DECODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,  # Pillow's word for a broken PNG
    EOFError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_TRUNCATED = re.compile(r"truncat|premature|end of (file|data|input)|incomplete|not enough|unexpected eof", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """Bounds of what is decoded. 25 MB: twice the largest 16 MP phone JPEG; 100 MP: 300 MB of RGB at worst."""

    max_bytes: int = 25_000_000
    max_pixels: int = 100_000_000


@dataclass(frozen=True)
class Verdict:
    """`width_px` and `height_px` as stored, before EXIF orientation (1 to 8; 1 where none is given)."""

    ok: bool
    format: str | None
    width_px: int | None
    height_px: int | None
    exif_orientation: int
    reason: Reason | None
    detail: str | None


def inspect(data: bytes, limits: Limits) -> Verdict:
    """Judge a photo's bytes; see the module's first sentence."""
    if not data:
        return _refused(Reason.empty, "0 bytes")
    if len(data) > limits.max_bytes:
        return _refused(Reason.too_large, f"{len(data):,} bytes, more than {limits.max_bytes:,}", sniff(data))
    name = sniff(data)
    if name is None:
        return _refused(Reason.not_an_image, f"starts with {data[:8].hex(' ')}")
    if name not in PILLOW_FORMATS:
        return _refused(Reason.unsupported_format, f"{name}; taken are {', '.join(PILLOW_FORMATS)}", name)
    try:
        with opened(data, name) as image:
            width, height = image.size
            if width * height > limits.max_pixels:
                detail = f"{width:,} × {height:,} pixels, more than {limits.max_pixels:,}"
                return Verdict(False, name, width, height, 1, Reason.too_many_pixels, detail)
            orientation = orientation_of(image)
            _prove_decodable(data, name, image)
    except UnidentifiedImageError:
        return _refused(Reason.decode_error, "the header cannot be read", name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        return _refused(Reason.too_many_pixels, str(bomb)[:200], name)
    except DECODER_ERRORS as error:
        detail = f"{type(error).__name__}: {error}"[:200]
        return _refused(Reason.truncated if _TRUNCATED.search(detail) else Reason.decode_error, detail, name)
    return Verdict(True, name, width, height, orientation, None, None)


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 when it is absent, out of range or unreadable."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _prove_decodable(data: bytes, name: str, image: Image.Image) -> None:
    if name == "jpeg" and image.mode in ("RGB", "L"):
        # All of the entropy-coded data is read, a 64th of the pixels made.
        simplejpeg.decode_jpeg_header(data)
        jpeg_rgb(data, 8, strict=True)
    else:
        rgb(image)


def _refused(reason: Reason, detail: str, name: str | None = None) -> Verdict:
    return Verdict(False, name, None, None, 1, reason, detail)
