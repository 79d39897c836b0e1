"""Decode photos to RGB pixels: the decoder for each format, its scaling, and its cost in memory. No geometry, no policy here.

JPEG is decoded by libjpeg-turbo (simplejpeg) with DCT scaling by powers of two, which are the factors with SIMD code. Pillow
decodes everything else, including JPEGs whose headers turbo's strict interface rejects. Both release the GIL. Only the first
frame of an animation is decoded. Colour profiles (ICC) are ignored in all formats.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError

from shelf_assets.vision.headers import MAX_JPEG_SCANS, Header
from shelf_assets.vision.heif import open_heif
from shelf_assets.vision.reasons import Reason, Undecodable

# Most memory for decoding one photo, independent of settings. A process decodes one photo above BIG_BYTES at a time.
MAX_DECODE_BYTES = 512 << 20
BIG_BYTES = 64 << 20
# Measured peak memory per stored pixel. Pillow holds 4 bytes, and the result 3. libwebp's animation decoder, which Pillow also
# uses for still pictures, adds two canvases and its own planes. AVIF holds 13 with 8 bits, and 4 more with 16-bit planes; its
# depth is unknown before decoding. HEIC's depth is in its header.
_BYTES_PER_PX = {"jpeg": 3, "png": 8, "gif": 8, "webp": 17, "heic": 21, "avif": 18}
# For JPEGs that turbo rejects.
_PILLOW_JPEG_BYTES_PER_PX = 8
_STRIP_ROWS = 64
# Each scan of a progressive JPEG walks over all coefficients: the limit allows 64 scans of 16 MP, or 10 of 100 MP.
MAX_SCANNED_PX = 1_024_000_000

_PILLOW_FORMATS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
_TRUNCATED = re.compile(r"truncat|premature end|unexpected end of file", re.IGNORECASE)
# Header problems for which turbo rejects a JPEG although its pixels are unaffected: bytes between two segments, as Photoshop
# and some phones write them, a broken colour profile, or unusual subsampling.
_ODD_HEADER = re.compile(r"extraneous bytes before marker|ICC marker|subsampling level", re.IGNORECASE)
_BEFORE_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
# End markers to try as the end of the picture. Markers before it are in comments between scans, which are few in real files.
_END_MARKS = 1_000
# Exceptions, besides OSError, of Pillow's parsers on broken files; they are written in Python.
_DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,  # for programs that run with warnings as errors
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_big = threading.Lock()
# Output buffers that are reused by later decodes: page faults of newly allocated megabytes cost more than decoding into them.
# The deque holds at most one buffer per concurrent decode; its append and pop are atomic.
_buffers: deque[np.ndarray] = deque(maxlen=32)
_BUFFER_BYTES = 4 << 20


def shrink_for(side_px: int, wanted_px: int) -> int:
    """The largest of 1, 2, 4, 8 that leaves at least `wanted_px` of a side of `side_px`."""
    return next(factor for factor in (8, 4, 2, 1) if factor == 1 or side_px >= wanted_px * factor)


def decode_cost(header: Header, shrink: int) -> int:
    """Peak memory in bytes of decoding at 1/shrink, without the file itself."""
    held = header.decode_bytes_per_px or _BYTES_PER_PX[header.format]
    if header.format == "jpeg":
        held = held / shrink**2 + header.coefficient_bytes_per_px
    return int(header.pixels * held)


def require_affordable(header: Header) -> None:
    """Raise Undecodable for a photo that could exceed the fixed limits of memory or time at some shrink."""
    _require_bytes(header, decode_cost(header, 1))
    if header.scans > MAX_JPEG_SCANS or header.scans * header.pixels > MAX_SCANNED_PX:
        raise Undecodable(
            Reason.too_many_pixels,
            f"{header.width_px:,} × {header.height_px:,} pixels in {header.scans} scans",
        )


def require_complete(header: Header) -> None:
    """Raise Undecodable for a file that is shorter than its container's lengths say."""
    if not header.is_complete:
        raise Undecodable(Reason.truncated, f"{header.format}: the lengths in its container exceed the file")


def _require_bytes(header: Header, cost: int) -> None:
    if cost > MAX_DECODE_BYTES:
        raise Undecodable(
            Reason.too_many_pixels,
            f"{header.width_px:,} × {header.height_px:,} pixels would take {cost >> 20:,} MiB to decode as "
            f"{header.format}, more than {MAX_DECODE_BYTES >> 20}",
        )


@contextmanager
def decoded(data: bytes, header: Header, shrink: int, to_keep: bool = False) -> Iterator[np.ndarray]:
    """uint8 RGB, ceil(height/shrink) × ceil(width/shrink) × 3, as stored (not turned). Raises Undecodable.

    `shrink` is 1, 2, 4 or 8 and averages shrink × shrink pixels into one. Transparency is composited on white; of 16 bits
    the upper 8 are kept. The array is valid inside the `with` only, because its memory is reused, unless `to_keep` is set.
    """
    require_affordable(header)
    require_complete(header)
    with _big if decode_cost(header, shrink) > BIG_BYTES else nullcontext():
        if to_keep:
            yield _pixels(data, header, shrink, None)
            return
        buffer = _buffer()
        try:
            yield _pixels(data, header, shrink, buffer)
        finally:
            _buffers.append(buffer)


def _buffer() -> np.ndarray:
    try:
        return _buffers.pop()
    except IndexError:
        return np.empty(_BUFFER_BYTES, np.uint8)


def _pixels(data: bytes, header: Header, shrink: int, buffer: np.ndarray | None) -> np.ndarray:
    try:
        if header.format == "jpeg":
            return _jpeg(data, header, shrink, buffer)
        return _pillow(data, header, shrink)
    except Undecodable:
        raise
    except _DECODER_ERRORS as error:
        raise _undecodable(data, header, error) from error


def _jpeg(data: bytes, header: Header, shrink: int, buffer: np.ndarray | None) -> np.ndarray:
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as complaint:
        if not _ODD_HEADER.search(str(complaint)):
            raise
        return _odd_jpeg(data, header, shrink)
    _require_size(header, width, height)
    try:
        # Strict, because otherwise truncated or broken data would give a half-grey picture without an error.
        return _turbo(data, header, shrink, buffer, strict=True)
    except ValueError as complaint:
        if not _is_padded(data, str(complaint)):
            raise
        return _turbo(data, header, shrink, buffer, strict=False)


def _odd_jpeg(data: bytes, header: Header, shrink: int) -> np.ndarray:
    cost = decode_cost(dataclasses.replace(header, decode_bytes_per_px=_PILLOW_JPEG_BYTES_PER_PX), shrink)
    _require_bytes(header, cost)
    with _big if cost > BIG_BYTES >= decode_cost(header, shrink) else nullcontext():
        return _pillow(data, header, shrink)


def _turbo(data: bytes, header: Header, shrink: int, buffer: np.ndarray | None, strict: bool) -> np.ndarray:
    rows, columns = -(-header.height_px // shrink), -(-header.width_px // shrink)
    # The decoder uses the smallest scale that meets these minima; without minima it decodes at full size.
    minimum = {"min_height": rows, "min_width": columns} if shrink > 1 else {}
    out = buffer if buffer is not None and rows * columns * 3 <= buffer.size else None
    picture: np.ndarray = simplejpeg.decode_jpeg(data, "RGB", buffer=out, strict=strict, **minimum)
    return picture


def _is_padded(data: bytes, complaint: str) -> bool:
    """Whether turbo's error is about padding before the end marker only, which many cameras write.

    Padding is one repeated byte. Anything else is left-over picture data, which means that codes were lost.
    """
    found = _BEFORE_END.search(complaint)
    if found is None:
        return False
    count, end = int(found.group(1)), data.find(_SCAN)
    for _ in range(_END_MARKS):
        before, end = end, data.find(_END, end + 2)
        if end < 0:
            return False
        # Bytes with another end marker among them are not a repeated byte, so each byte is counted once at most.
        if end - before - 2 >= count and data.count(data[end - 1 : end], end - count, end) == count:
            return True
    return False


def _pillow(data: bytes, header: Header, shrink: int) -> np.ndarray:
    # A check instead of DecompressionBombWarning as an error, because warning filters are shared by all threads.
    if Image.MAX_IMAGE_PIXELS is not None and header.pixels > Image.MAX_IMAGE_PIXELS:
        raise Undecodable(Reason.too_many_pixels, f"{header.pixels:,} pixels, more than Pillow opens")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise Undecodable(
            Reason.decode_error, "ImageFile.LOAD_TRUNCATED_IMAGES is set, which would accept half pictures: unset it"
        )
    with _opened(data, header.format) as image:
        _require_size(header, *image.size)
        if header.format == "jpeg":
            image.draft(image.mode, (max(1, image.width // shrink), max(1, image.height // shrink)))
            shrink = 1
        image.load()
        if header.format == "heic":  # libheif knows the true size only after decoding
            _require_size(header, *image.size)
        return _samples(image, shrink)


def _opened(data: bytes, format_name: str) -> Image.Image:
    """Open a file with the decoder of its sniffed format; no other decoder is tried."""
    if format_name in ("heic", "avif"):
        return open_heif(data, format_name)
    return Image.open(io.BytesIO(data), formats=[_PILLOW_FORMATS[format_name]])


def _require_size(header: Header, width: int, height: int) -> None:
    """Raise Undecodable where header and decoder disagree about the size: such a file could get past a limit."""
    if (width, height) != (header.width_px, header.height_px):
        raise Undecodable(
            Reason.decode_error,
            f"{header.format}: the header says {header.width_px} × {header.height_px}, the decoder {width} × {height}",
        )


def _samples(image: Image.Image, shrink: int) -> np.ndarray:
    """RGB on white, averaged by shrink × shrink, in strips: copies of the whole picture would take 3 or 4 bytes a pixel more."""
    rows = _STRIP_ROWS * shrink
    samples = np.empty((-(-image.height // shrink), -(-image.width // shrink), 3), np.uint8)
    for number, top in enumerate(range(0, image.height, rows)):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        samples[number * _STRIP_ROWS : (number + 1) * _STRIP_ROWS] = _white_backed(_eight_bit(strip), shrink)
    return samples


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture in grey or RGB, or as RGBA if it has any transparency."""
    if image.mode.startswith("I;16"):
        # The upper byte, as Pillow does for 16-bit colour, so that both kinds of 16-bit PNG agree.
        samples = np.asarray(image)
        grey = (samples >> 8).astype(np.uint8)
        if isinstance(key := image.info.get("transparency"), int):
            grey[samples == key] = 255
        return Image.fromarray(grey)
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _white_backed(image: Image.Image, shrink: int) -> np.ndarray:
    """Grey (H × W × 1) or RGB on white; premultiplied before averaging, so that hidden colours have no effect."""
    if image.mode == "RGBA":
        premultiplied = image.convert("RGBa")
        samples = np.asarray(premultiplied.reduce(shrink) if shrink > 1 else premultiplied)
        backed: np.ndarray = samples[..., :3] + (255 - samples[..., 3:])
        return backed
    samples = np.asarray(image.reduce(shrink) if shrink > 1 else image)
    return samples if samples.ndim == 3 else samples[..., None]


def _undecodable(data: bytes, header: Header, error: BaseException) -> Undecodable:
    message = " ".join(str(error).split()) or type(error).__name__
    reason = Reason.truncated if _TRUNCATED.search(message) else Reason.decode_error
    if isinstance(error, UnidentifiedImageError):  # its own message contains a memory address
        message = "the decoder cannot read its header"
    if isinstance(error, (Image.DecompressionBombError, MemoryError)):
        # The header's size passed the limits, but the decoder or the process has a lower one.
        return Undecodable(Reason.too_many_pixels, f"{header.format}: {message[:160]}")
    if header.format == "jpeg" and data.rfind(_END) < data.rfind(_SCAN):
        # There is no end marker after the last scan, so the decoder's error is caused by truncation.
        reason = Reason.truncated
    return Undecodable(reason, f"{header.format}: {message[:160]}")
