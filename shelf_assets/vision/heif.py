"""HEIC and AVIF through their libraries: libheif for HEIC, libavif (in Pillow) for AVIF. Limits are elsewhere.

Boxes nest and refer to one another, and a second parser could be tricked into reading another size than the decoder. Both
libraries read headers without decoding and reject files above their own limits. Only the outermost boxes of a rejected file are
walked here, to distinguish truncated files from broken ones.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from PIL import Image

MAX_BOXES = 1_000


@dataclass(frozen=True)
class HeifHeader:
    """`width_px` × `height_px` as decoded: libheif applies the orientation of a HEIC; that of an AVIF is in its `exif`.

    `decode_bytes_per_px` is 0 where the header does not tell the bit depth.
    """

    width_px: int
    height_px: int
    exif: bytes
    frames: int
    decode_bytes_per_px: float


def read_heif_header(data: bytes, format_name: str) -> HeifHeader:
    """Header of a HEIC or AVIF. Raises the exceptions of Pillow and libheif."""
    with open_heif(data, format_name) as image:
        frames = getattr(image, "n_frames", 1)
        exif = image.info.get("exif") or b""
        if format_name == "avif":
            return HeifHeader(*image.size, exif, frames, 0.0)
        depth, chroma = image.info.get("bit_depth"), image.info.get("chroma")
        # Measured peaks are 9.3, 12.4 and 20.3. The limit must allow the 48 megapixels of a phone.
        bytes_per_px = 10.0 if depth == 8 else 13.0 if chroma == 420 else 21.0
        return HeifHeader(*image.size, exif, frames, bytes_per_px)


def open_heif(data: bytes, format_name: str) -> Image.Image:
    """Open a picture without decoding it. Decoding uses one thread, because photos are decoded in parallel."""
    # Imported here, because most days have no such photo and each library takes 20 MB.
    if format_name == "avif":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        return Image.open(io.BytesIO(data), formats=["AVIF"])
    import pillow_heif

    options = pillow_heif.options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = 1
    return pillow_heif.HeifImageFile(io.BytesIO(data))


def ends_early(data: bytes) -> bool:
    """Whether the file ends inside one of its outermost boxes, or before those that a picture needs."""
    position = 0
    kinds: set[bytes] = set()
    for _ in range(MAX_BOXES):
        if position == len(data):
            return not {b"meta", b"mdat"} <= kinds
        try:
            size, kind = struct.unpack_from(">I4s", data, position)
            if size == 1:
                (size,) = struct.unpack_from(">Q", data, position + 8)
        except struct.error:
            return True
        kinds.add(kind)
        if size < 8:
            return False  # 0 extends to the end of the file; less than 8 is not a valid box
        if (position := position + size) > len(data):
            return True
    return False
