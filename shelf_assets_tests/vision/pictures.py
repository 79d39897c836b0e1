"""Test pictures in various encodings; they are drawn deterministically, and nothing is read from disk."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

from shelf_assets.vision.headers import Header

# Pillow then writes HEIF as well; the tested code opens it with pillow_heif itself.
pillow_heif.register_heif_opener()

ORIENTATION_TAG = 0x0112
# A stored picture is the upright one after the inverse of its EXIF orientation.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@lru_cache(maxsize=8)
def scene(width: int, height: int) -> Image.Image:
    """An RGB picture with detail at every scale and no symmetry, about as busy as a photo of a shelf."""
    rng = np.random.default_rng(width * 100_003 + height)
    pixels = np.zeros((height, width, 3))
    for cells, weight in ((3, 1.0), (12, 0.7), (48, 0.4), (192, 0.2)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        pixels += weight * (np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float64) - 128)
    return Image.fromarray(np.clip(128 + 1.3 * pixels, 0, 255).astype(np.uint8))


def faded(width: int, height: int) -> Image.Image:
    """A scene whose alpha runs from transparent to opaque, with colours hidden below."""
    image = scene(width, height).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))))
    return image


def encoded(image: Image.Image, format_name: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **({"quality": 90} | options if format_name == "JPEG" else options))
    return file.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION_TAG] = orientation
    return tags.tobytes()


def turned(image: Image.Image, orientation: int, format_name: str = "JPEG", **options: Any) -> bytes:
    """`image` stored rotated, with the EXIF orientation that makes it upright."""
    transpose = STORED_AS[orientation]
    stored = image if transpose is None else image.transpose(transpose)
    return encoded(stored, format_name, exif=exif(orientation), **options)


def deep_heic(image: Image.Image, chroma: int = 420) -> bytes:
    """An "RGB" or "RGBA" picture as a HEIC with 10 bits per sample."""
    samples = np.asarray(image).astype(np.uint16) << 8
    file = io.BytesIO()
    heif = pillow_heif.from_bytes(mode=f"{image.mode};16", size=image.size, data=samples.tobytes())
    heif.save(file, quality=60, chroma=chroma)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written chunk by chunk, for 16-bit colour and false headers, which Pillow does not write."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body


def png16(image: Image.Image) -> bytes:
    """An "L" or "RGB" picture as a 16-bit PNG whose upper bytes are its samples and whose lower bytes are noise."""
    upper = np.asarray(image).astype(np.uint16)
    lower = np.random.default_rng(16).integers(0, 256, upper.shape, np.uint16)
    rows = (upper << 8 | lower).astype(">u2").reshape(image.height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(image.width, image.height, 16, 0 if image.mode == "L" else 2, raw)


def exact(data: bytes, size_px: int = 224) -> np.ndarray:
    """The full path with Pillow only, without shrinking on load: upright, shorter side bicubic, centre; 3 × size × size."""
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    shortest = min(image.size)
    width, height = size_px * image.width // shortest, size_px * image.height // shortest
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size_px) / 2), round((height - size_px) / 2)
    return np.asarray(image.crop((left, top, left + size_px, top + size_px))).transpose(2, 0, 1)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference in levels of 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())


def header_only(data: bytes, header: Header) -> None:
    """A `decode` for the validator that checks the header only."""


def from_a_camera(colour: str = "red") -> bytes:
    """A JPEG with a camera's name in its EXIF; each colour gives another photo."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "CanaryWorks", "Model 7"
    picture = scene(160, 120)
    picture.paste(colour, (0, 0, 20, 20))
    return encoded(picture, exif=tags.tobytes())
