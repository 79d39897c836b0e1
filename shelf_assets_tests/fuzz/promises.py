"""Promises of the sanitizer that hold for any bytes; the fuzzer and the tests check them for each of their files."""

from __future__ import annotations

import io
import struct
import time

from PIL import Image

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import BY_REASON
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto, sanitize

# CPU time for one photo: generous, because the machine is shared and the code may be instrumented.
MOST_SECONDS = 5.0
# JFIF's header (APP0), tables, frame and scan; any other segment would come from the upload.
_SEGMENTS_OF_A_PICTURE = {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}


def sanitized(data: bytes, limits: Limits, jpeg_quality: int = 90) -> SanitizedPhoto | Refusal:
    """Sanitize some bytes and check every promise; raises AssertionError for a broken one."""
    begun = time.process_time()
    result = sanitize(data, limits, jpeg_quality)
    seconds = time.process_time() - begun
    assert seconds < MOST_SECONDS, f"{seconds:.1f} seconds for {len(data):,} bytes"
    if isinstance(result, Refusal):
        assert result.reason in BY_REASON
        assert result.detail and len(result.detail) < 400
        return result
    assert isinstance(result, SanitizedPhoto)
    assert set(jpeg_segments(result.jpeg)) <= _SEGMENTS_OF_A_PICTURE
    with Image.open(io.BytesIO(result.jpeg), formats=["JPEG"]) as image:
        image.load()
        assert (image.size, image.mode) == ((result.width_px, result.height_px), "RGB")
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert result.pixels <= limits.max_pixels
    assert len(result.jpeg) <= limits.max_bytes, "the graph would reject a photo that the upload API accepted"
    for name, value in result.metadata.items():
        assert name.islower() and value.isascii() and value.isprintable() and len(value) <= 64
    return result


def jpeg_segments(jpeg: bytes) -> list[int]:
    """Markers of a JPEG up to its scan; AssertionError for bytes between two segments or after the end marker."""
    assert jpeg.startswith(b"\xff\xd8")
    position, markers = 2, []
    while not markers or markers[-1] != 0xDA:
        fill, marker, length = struct.unpack_from(">BBH", jpeg, position)
        assert fill == 0xFF
        markers.append(marker)
        position += 2 + length
    # Within the scan 00 follows every FF: the encoder writes no restart markers.
    end = position
    while jpeg[(end := jpeg.index(b"\xff", end)) + 1] == 0:
        end += 2
    assert jpeg[end:] == b"\xff\xd9", "bytes after the end of the picture"
    return markers
