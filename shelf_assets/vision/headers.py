"""Read headers by walking a file's bytes: size, orientation, frames, coding. No decoder runs here.

The walk also protects the decoders. It bounds the number of segments, so that a file of a million tiny ones takes little time
here and in Pillow's Python loops, and it detects files that were cut off between two segments.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from PIL import UnidentifiedImageError

from shelf_assets.vision.exif import exif_orientation
from shelf_assets.vision.heif import ends_early, read_heif_header
from shelf_assets.vision.reasons import Reason, Undecodable

# Real files have tens to a few thousand (PNG writers cut IDAT at 8 KB: 3,000 in 25 MB).
MAX_SEGMENTS = 50_000
# Encoders write 1 to about 12 scans; each one after the first walks over all coefficients again.
MAX_JPEG_SCANS = 64

# Without repetition, because the pattern would take quadratic time over megabytes of FF.
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_SOF_SUPPORTED = {0xC0: False, 0xC1: False, 0xC2: True}
_SOF_OTHER = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical",
    0xC9: "arithmetic-coded",
    0xCA: "arithmetic-coded",
    0xCB: "arithmetic-coded",
    0xCD: "hierarchical",
    0xCE: "hierarchical",
    0xCF: "hierarchical",
}
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1


@dataclass(frozen=True)
class Header:
    """`width_px` × `height_px` as stored, before EXIF orientation (1 to 8; 1 where there is none).

    `coefficient_bytes_per_px` is above 0 for JPEGs whose decoder keeps the coefficients of the whole picture: progressive
    ones, and those whose colour planes are in separate scans. `is_complete` is False where the container's lengths exceed
    the file. `frames` are counted as far as that is cheap. `decode_bytes_per_px` is the decoder's memory where it differs
    within a format, else 0. `exif` is the raw TIFF block.
    """

    format: str
    width_px: int
    height_px: int
    exif_orientation: int = 1
    coefficient_bytes_per_px: float = 0.0
    scans: int = 1
    is_complete: bool = True
    frames: int = 1
    decode_bytes_per_px: float = 0.0
    exif: bytes = field(default=b"", repr=False)

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


def read_header(data: bytes, format_name: str) -> Header:
    """Header of one of `formats.ACCEPTED_FORMATS`. Raises Undecodable, and nothing else, for any bytes."""
    try:
        header = _READERS[format_name](data)
    except (struct.error, IndexError) as short:
        raise Undecodable(Reason.truncated, f"{format_name}: the file ends inside its header") from short
    if header.width_px < 1 or header.height_px < 1:
        raise Undecodable(
            Reason.decode_error, f"{format_name}: {header.width_px} × {header.height_px} pixels in the header"
        )
    return header


def _jpeg(data: bytes) -> Header:
    position, exif, frame = 2, b"", None
    for _ in range(MAX_SEGMENTS):
        found = _NEXT_MARKER.search(data, position)
        if found is None:
            raise Undecodable(Reason.truncated, "jpeg: the file ends before the data of its picture")
        marker, start = found.group(1)[0], found.end()
        position = start
        if marker in (_SOI, 0x01):
            continue
        if marker == _EOI:
            raise Undecodable(Reason.decode_error, "jpeg: it ends without a picture")
        (length,) = struct.unpack_from(">H", data, start)
        if marker in _SOF_OTHER:
            raise Undecodable(Reason.unsupported_format, f"jpeg: {_SOF_OTHER[marker]} coding, which no browser shows")
        if marker in _SOF_SUPPORTED:
            if frame is not None:
                raise Undecodable(Reason.decode_error, "jpeg: two frame headers")
            frame = _jpeg_frame(data, start, progressive=_SOF_SUPPORTED[marker])
        elif marker == _APP1 and not exif and data[start + 2 : start + 8] == b"Exif\0\0":
            exif = data[start + 8 : start + length]
        elif marker == _SOS:
            if frame is None:
                raise Undecodable(Reason.decode_error, "jpeg: a scan before the frame header")
            return frame.header(exif, data, start)
        position = start + max(length, 2)
    raise Undecodable(Reason.decode_error, f"jpeg: more than {MAX_SEGMENTS:,} segments")


@dataclass(frozen=True)
class _JpegFrame:
    width_px: int
    height_px: int
    components: int
    samples_per_px: float
    progressive: bool

    def header(self, exif: bytes, data: bytes, first_scan: int) -> Header:
        whole = self.progressive or data[first_scan + 2] < self.components
        return Header(
            "jpeg",
            self.width_px,
            self.height_px,
            exif_orientation(exif),
            # libjpeg keeps 16-bit coefficients, one per sample.
            coefficient_bytes_per_px=2 * self.samples_per_px if whole else 0.0,
            scans=_scans(data, first_scan) if whole else 1,
            # CMYK: four bytes in addition to the three of RGB.
            decode_bytes_per_px=7.0 if self.components == 4 else 0.0,
            exif=exif,
        )


def _jpeg_frame(data: bytes, start: int, progressive: bool) -> _JpegFrame:
    precision, height, width, components = struct.unpack_from(">BHHB", data, start + 2)
    if precision != 8:
        raise Undecodable(Reason.unsupported_format, f"jpeg: {precision} bits per sample, which no browser shows")
    factors = [divmod(data[start + 9 + 3 * index], 16) for index in range(components)]
    if not factors or any(not 1 <= side <= 4 for pair in factors for side in pair):
        raise Undecodable(Reason.decode_error, f"jpeg: {components} components with sampling factors {factors[:4]}")
    largest = max(across for across, _ in factors) * max(down for _, down in factors)
    return _JpegFrame(width, height, components, sum(a * d for a, d in factors) / largest, progressive)


def _scans(data: bytes, first_scan: int) -> int:
    """Number of scans of the first picture in the file; counting stops just above the limit."""
    # Counting the bytes FF DA is cheap and never too low. Only above the limit the markers are walked one by one.
    scans, position = 1 + data.count(b"\xff\xda", first_scan), first_scan
    if scans <= MAX_JPEG_SCANS:
        return scans
    scans = 1
    while scans <= MAX_JPEG_SCANS and (found := _NEXT_MARKER.search(data, position)):
        marker, position = found.group(1)[0], found.end()
        if marker == _EOI:
            break
        scans += marker == _SOS
        if marker not in (_SOI, 0x01):
            (length,) = struct.unpack_from(">H", data, position)
            position += max(length, 2)
    return scans


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise Undecodable(Reason.decode_error, "png: IHDR is not the first chunk")
    width, height = struct.unpack_from(">II", data, 16)
    position, exif, frames = 8, b"", 1
    for _ in range(MAX_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        position = start + length + 4
        if kind == b"eXIf":
            exif = data[start : start + length]
        if kind == b"acTL" and length >= 4 and start + 4 <= len(data):
            (frames,) = struct.unpack_from(">I", data, start)
        if position > len(data):
            # The size is reported even for an incomplete file.
            return Header("png", width, height, exif_orientation(exif), is_complete=False, frames=frames, exif=exif)
        if kind == b"IEND":
            return Header("png", width, height, exif_orientation(exif), frames=frames, exif=exif)
    raise Undecodable(Reason.decode_error, f"png: more than {MAX_SEGMENTS:,} chunks")


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    budget = iter(range(MAX_SEGMENTS))  # shared by blocks and their sub-blocks
    for _ in budget:
        kind = data[position]
        if kind == 0x2C:
            # A frame may exceed the declared screen; the decoder then makes a picture of the larger size.
            left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, position + 1)
            return Header(
                "gif",
                max(width, left + frame_width),
                max(height, top + frame_height),
                frames=_gif_frames(data, position),
            )
        if kind == 0x3B:
            raise Undecodable(Reason.decode_error, "gif: it ends without a picture")
        position += 1  # a stray byte is skipped, as decoders do
        if kind == 0x21:
            position += 1
            for _ in budget:
                size = data[position]
                position += 1 + size
                if size == 0:
                    break
    raise Undecodable(Reason.decode_error, f"gif: more than {MAX_SEGMENTS:,} blocks before the first picture")


def _gif_frames(data: bytes, position: int) -> int:
    """Number of pictures from `position` on; counting stops where the file is broken or has too many blocks."""
    frames = 0
    budget = iter(range(MAX_SEGMENTS))
    try:
        for _ in budget:
            kind = data[position]
            if kind == 0x3B:
                break
            position += 1
            if kind == 0x2C:
                frames += 1
                flags = data[position + 8]
                position += 10 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
            elif kind == 0x21:
                position += 1
            else:
                continue
            for _ in budget:
                size = data[position]
                position += 1 + size
                if size == 0:
                    break
    except IndexError:
        pass
    return max(1, frames)


def _webp(data: bytes) -> Header:
    (riff_bytes,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise Undecodable(Reason.decode_error, f"webp: its first chunk is {kind!r}")
    exif, frames = _webp_extras(data)
    complete = riff_bytes + 8 <= len(data)
    return Header("webp", width, height, exif_orientation(exif), is_complete=complete, frames=frames, exif=exif)


def _webp_extras(data: bytes) -> tuple[bytes, int]:
    """EXIF and number of frames: 1 for a still picture, else the number of ANMF chunks."""
    position, exif, frames = 12, b"", 0
    for _ in range(MAX_SEGMENTS):
        if position + 8 > len(data):
            return exif, max(1, frames)
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF" and not exif:
            # Many writers keep JPEG's prefix.
            exif = data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0")
        frames += kind == b"ANMF"
        position += 8 + length + (length & 1)
    raise Undecodable(Reason.decode_error, f"webp: more than {MAX_SEGMENTS:,} chunks")


def _heif(data: bytes, name: str) -> Header:
    try:
        heif = read_heif_header(data, name)
    except MemoryError as error:
        raise Undecodable(
            Reason.too_many_pixels, f"{name}: reading its header needs more memory than allowed"
        ) from error
    except (ArithmeticError, LookupError, OSError, RuntimeError, SyntaxError, ValueError) as error:
        # Neither library distinguishes a truncated file from one that is no picture.
        if ends_early(data):
            raise Undecodable(Reason.truncated, f"{name}: the file ends inside its boxes") from error
        message = "the decoder cannot read its header" if isinstance(error, UnidentifiedImageError) else str(error)
        raise Undecodable(Reason.decode_error, f"{name}: {' '.join(message.split())[:160]}") from error
    return Header(
        name,
        heif.width_px,
        heif.height_px,
        # libheif has already applied the orientation of a HEIC.
        exif_orientation(heif.exif) if name == "avif" else 1,
        frames=heif.frames,
        decode_bytes_per_px=heif.decode_bytes_per_px,
        exif=heif.exif,
    )


_READERS: dict[str, Callable[[bytes], Header]] = {
    "jpeg": _jpeg,
    "png": _png,
    "gif": _gif,
    "webp": _webp,
    "heic": partial(_heif, name="heic"),
    "avif": partial(_heif, name="avif"),
}
