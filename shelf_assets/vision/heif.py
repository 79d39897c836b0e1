"""HEIC and AVIF, by the libraries that read them: libheif for the one, libavif (in Pillow) for the other. Policy is elsewhere.

Their boxes nest and refer to one another, so that a second reading of our own would be the way past a limit. Both
libraries read a header without decoding, and refuse what is larger than they take. Our own walk goes over the outermost
boxes, and only of a file that was refused: to tell one that was cut off from one that is broken.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from PIL import Image

MAX_BOXES = 1_000


@dataclass(frozen=True)
class HeifFacts:
    """`width_px` × `height_px` as the decoder will give them: libheif turns a HEIC itself, an AVIF is turned by its `exif`.

    `decode_bytes_per_px` is 0 where the header does not say how deep it is.
    """

    width_px: int
    height_px: int
    exif: bytes
    frames: int
    decode_bytes_per_px: float


def heif_facts(data: bytes, format_name: str) -> HeifFacts:
    """Facts of a HEIC's or AVIF's header. Raises what Pillow and libheif raise."""
    with open_heif(data, format_name) as image:
        frames = getattr(image, "n_frames", 1)
        exif = image.info.get("exif") or b""
        if format_name == "avif":
            return HeifFacts(*image.size, exif, frames, 0.0)
        depth, chroma = image.info.get("bit_depth"), image.info.get("chroma")
        # Measured peaks are 9.3, 12.4 and 20.3; the 48 megapixels of a telephone are to pass.
        held = 10.0 if depth == 8 else 13.0 if chroma == 420 else 21.0
        return HeifFacts(*image.size, exif, frames, held)


def open_heif(data: bytes, format_name: str) -> Image.Image:
    """The picture, not decoded yet. It decodes on one thread: as many photos as there are cores are decoded at once."""
    # Imported here: most days have none, and each library is 20 MB.
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
            return False  # 0 reaches to the end, whatever that is; less is no box
        if (position := position + size) > len(data):
            return True
    return False
