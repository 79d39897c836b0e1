"""From bytes to an RGB picture: which decoder for which format, how small it may decode. No geometry, no judgement here.

JPEG goes through libjpeg-turbo (simplejpeg) with DCT scaling by powers of two, the factors that are SIMD; everything else,
and the JPEGs that turbo has no RGB for, through Pillow. Both release the interpreter's lock while they work.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
from PIL import Image, ImageFile

# Pillow is told which decoders it may try: a file never chooses one by itself.
PILLOW_FORMATS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
ORIENTATION_TAG = 0x0112
WHITE = (255, 255, 255)

assert not ImageFile.LOAD_TRUNCATED_IMAGES


def sniff(data: bytes) -> str | None:
    """The format by its signature, lower case; None when no known one fits."""
    head = data[:16]
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[4:8] == b"ftyp":
        return "avif" if head[8:12] in (b"avif", b"avis") else "heif"
    return next((name for signature, name in _OTHERS if head.startswith(signature)), None)


_OTHERS = (
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"8BPS", "psd"),
    (b"%PDF", "pdf"),
    (b"%!PS", "eps"),
    (b"\xc5\xd0\xd3\xc6", "eps"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\xff\x0a", "jpegxl"),
    (b"qoif", "qoi"),
    (b"DDS ", "dds"),
    (b"icns", "icns"),
    (b"\x01\xda", "sgi"),
    (b"<svg", "svg"),
)


@contextmanager
def opened(data: bytes, format_name: str) -> Iterator[Image.Image]:
    """The photo opened by Pillow with exactly this format's decoder; a decompression bomb is an error, not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=[PILLOW_FORMATS[format_name]]) as image:
            yield image


def shrink_factor(side_px: int, wanted_px: int) -> int:
    """The largest of 1, 2, 4, 8 that leaves at least `wanted_px` of a side of `side_px`."""
    return next(factor for factor in (8, 4, 2, 1) if factor == 1 or side_px // factor >= wanted_px)


def jpeg_rgb(data: bytes, factor: int, strict: bool = False) -> np.ndarray:
    """Decode a JPEG to uint8 RGB, H × W × 3, at 1/factor of its size. Raises ValueError."""
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    return simplejpeg.decode_jpeg(
        data, "RGB", min_height=-(-height // factor), min_width=-(-width // factor), strict=strict
    )


def rgb(image: Image.Image) -> Image.Image:
    """The first frame as 8-bit RGB: transparency on white, 16 bits scaled to 8, any ICC profile ignored."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(values / 257.0 + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        picture = image.convert("RGBA")
        canvas = Image.new("RGBA", picture.size, (*WHITE, 255))
        return Image.alpha_composite(canvas, picture).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
