"""Is this a photo we take? Signature, header, then a decode of the whole. Never raises, for any bytes.

Pixels for the models are made in `preprocess`, by the same decoder: what is accepted here can be decoded there.

Trailing bytes after a picture's end are accepted: motion photos, multi-picture and HDR files of common phones carry a
video or further pictures there, and nobody reads them here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shelf_assets.vision.decode import decoded, require_decodable
from shelf_assets.vision.formats import TAKEN, sniff
from shelf_assets.vision.headers import Header, read_header
from shelf_assets.vision.reasons import Reason, Undecodable


@dataclass(frozen=True)
class Limits:
    """What is not even tried. Whether decoding is affordable is decided in `decode`, below whatever is set here.

    25 MB: twice the largest JPEG of a 16 MP phone, and what the 100 MP ones write. 100 MP: the camera of no phone
    shoots more unless told to. 32,768 px: panoramas end at 16,384. Frames need no limit: none but the first is
    decoded.
    """

    max_bytes: int = 25_000_000
    max_pixels: int = 100_000_000
    max_side_px: int = 32_768


@dataclass(frozen=True)
class Verdict:
    """`width_px` and `height_px` as stored, before EXIF orientation (1 to 8; 1 where none is given).

    `ok` and `reason` exclude each other. `format` is also given for formats that are not taken, sizes wherever the
    header could be read.
    """

    ok: bool
    format: str | None
    width_px: int | None
    height_px: int | None
    exif_orientation: int
    reason: Reason | None
    detail: str | None


def prove(data: bytes, header: Header) -> None:
    """Decode at the smallest scale: all of a JPEG's entropy-coded data is read, a 64th of its pixels made."""
    with decoded(data, header, shrink=8):
        pass


def inspect(data: bytes, limits: Limits, decode: Callable[[bytes, Header], object] = prove) -> Verdict:
    """Judge a photo's bytes; see the module's first sentence.

    `decode` is the proof that a picture is in them: who needs its pixels anyway takes them there, and decodes once.
    """
    name, header = None, None
    try:
        if len(data) > limits.max_bytes:
            raise Undecodable(Reason.too_large, f"{len(data):,} bytes, more than {limits.max_bytes:,}")
        name = taken_format(data)
        header = read_header(data, name)
        _require_within(header, limits)
        require_decodable(header)
        decode(data, header)
    except Undecodable as refused:
        return Verdict(
            ok=False,
            format=name or (sniff(data) if data else None),
            width_px=header.width_px if header else None,
            height_px=header.height_px if header else None,
            exif_orientation=header.exif_orientation if header else 1,
            reason=refused.reason,
            detail=refused.detail,
        )
    return Verdict(True, name, header.width_px, header.height_px, header.exif_orientation, None, None)


def taken_format(data: bytes) -> str:
    """One of `formats.TAKEN`. Raises Undecodable (empty, not_an_image, unsupported_format)."""
    if not data:
        raise Undecodable(Reason.empty, "0 bytes")
    name = sniff(data)
    if name is None:
        raise Undecodable(Reason.not_an_image, f"starts with {data[:8].hex(' ')}")
    if name not in TAKEN:
        raise Undecodable(Reason.unsupported_format, f"{name}; taken are {', '.join(TAKEN)}")
    return name


def _require_within(header: Header, limits: Limits) -> None:
    size = f"{header.width_px:,} × {header.height_px:,} pixels"
    if header.pixels > limits.max_pixels:
        raise Undecodable(Reason.too_many_pixels, f"{size}, more than {limits.max_pixels:,} in all")
    if max(header.width_px, header.height_px) > limits.max_side_px:
        raise Undecodable(Reason.too_many_pixels, f"{size}, more than {limits.max_side_px:,} along one side")
