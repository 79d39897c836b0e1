"""What must hold for any bytes that come to a door. Asked by the fuzzer, and of every file that the tests make."""

from __future__ import annotations

import io
import struct
import time

from PIL import Image

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import BY_REASON
from shelf_assets.photos.sanitizer import Accepted, Refused, sanitize

# Of a processor, for one photo: generous, since the machine is shared and the code may be instrumented.
MOST_SECONDS = 5.0
# APP0 is JFIF's own header; tables, frame and scan; everything else would be somebody's message.
_SEGMENTS_OF_A_PICTURE = {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}


def sanitized(data: bytes, limits: Limits, jpeg_quality: int = 90) -> Accepted | Refused:
    """The answer on some bytes, which keeps every promise; AssertionError says which one it does not."""
    begun = time.process_time()
    answer = sanitize(data, limits, jpeg_quality)
    seconds = time.process_time() - begun
    assert seconds < MOST_SECONDS, f"{seconds:.1f} seconds for {len(data):,} bytes"
    if isinstance(answer, Refused):
        assert answer.reason in BY_REASON
        assert answer.detail and len(answer.detail) < 400
        return answer
    assert isinstance(answer, Accepted)
    assert set(jpeg_segments(answer.jpeg)) <= _SEGMENTS_OF_A_PICTURE
    with Image.open(io.BytesIO(answer.jpeg), formats=["JPEG"]) as image:
        image.load()
        assert (image.size, image.mode) == ((answer.width_px, answer.height_px), "RGB")
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert answer.pixels <= limits.max_pixels
    assert len(answer.jpeg) <= limits.max_bytes, "the graph would refuse what the door has taken"
    for name, value in answer.facts.items():
        assert name.islower() and value.isascii() and value.isprintable() and len(value) <= 64
    return answer


def jpeg_segments(jpeg: bytes) -> list[int]:
    """Markers of a JPEG up to its scan; AssertionError where bytes lie between two, or behind the end mark."""
    assert jpeg.startswith(b"\xff\xd8")
    position, markers = 2, []
    while not markers or markers[-1] != 0xDA:
        fill, marker, length = struct.unpack_from(">BBH", jpeg, position)
        assert fill == 0xFF
        markers.append(marker)
        position += 2 + length
    # Within the scan FF is followed by 00 alone; we write no restart marks.
    end = position
    while jpeg[(end := jpeg.index(b"\xff", end)) + 1] == 0:
        end += 2
    assert jpeg[end:] == b"\xff\xd9", "bytes behind the picture's end"
    return markers
