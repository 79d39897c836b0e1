"""The EXIF orientation of a photo, read from its raw TIFF block."""

from __future__ import annotations

import struct

_ORIENTATION_TAG = 0x0112
_INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG


def exif_orientation(exif: bytes) -> int:
    """Orientation 1 to 8 in a TIFF block's first directory; 1 where it is absent, out of range or unreadable.

    Orientations in XMP or in a PNG's text chunks are ignored, as browsers do.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", exif, entry)
            if tag == _ORIENTATION_TAG and kind in _INTEGER_TYPES and count == 1:
                (value,) = struct.unpack_from(order + _INTEGER_TYPES[kind], exif, entry + 8)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
