"""Defective files as phones and broken uploads send them. Good photos do not belong here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

# Defects, named like the validator's reasons, each with the file endings under which it is drawn.
DEFECTS: dict[str, tuple[str, ...]] = {
    "truncated": ("jpg",),
    "not_an_image": ("jpg",),
    "empty": ("jpg",),
    "too_many_pixels": ("png",),
    "unsupported_format": ("bmp", "tif"),
}
CLAIMED_SIDE_PX = 100_000

_PAGE = b"""<!doctype html>
<html><head><title>502 Bad Gateway</title></head>
<body><h1>502 Bad Gateway</h1><p>The upload server did not answer.</p></body></html>
"""


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def claims_too_many_pixels() -> bytes:
    """A PNG of about 100 bytes whose header announces 100,000 x 100,000 grey pixels (10 GB when decoded)."""
    header = struct.pack(">IIBBBBB", CLAIMED_SIDE_PX, CLAIMED_SIDE_PX, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(4096), 9)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", rows) + _png_chunk(b"IEND", b"")


def broken_file(defect: str, ending: str, picture: Image.Image, rng: np.random.Generator) -> bytes:
    """The bytes of a file with that defect; the picture is what a good file would have shown.

    The ending chooses the format where a defect has several. Raises ValueError for an unknown defect or ending.
    """
    if ending not in DEFECTS.get(defect, ()):
        known = ", ".join(f"{name}.{each}" for name, endings in DEFECTS.items() for each in endings)
        raise ValueError(f"unknown defect {defect}.{ending}; known are {known}")
    if defect == "empty":
        return b""
    if defect == "not_an_image":
        return _PAGE + b"<!-- %d -->\n" % int(rng.integers(10**9))
    if defect == "too_many_pixels":
        return claims_too_many_pixels()
    buffer = io.BytesIO()
    if defect == "unsupported_format":
        picture.save(buffer, "BMP" if ending == "bmp" else "TIFF")
        return buffer.getvalue()
    picture.save(buffer, "JPEG", quality=85)
    data = buffer.getvalue()
    # The header and the first rows arrive, the end of the upload does not.
    return data[: int(len(data) * rng.uniform(0.35, 0.75))]
