"""From bytes to the model-neutral tensor: one function for training, batch and single-image use.

Normalisation belongs to the model and happens on the device; decoding is in `decode`, resampling in `resize`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from shelf_assets.vision.decode import decoded, shrink_for
from shelf_assets.vision.digests import canonical_digest
from shelf_assets.vision.formats import accepted_format
from shelf_assets.vision.headers import Header, read_header
from shelf_assets.vision.reasons import Undecodable
from shelf_assets.vision.resize import Box, resize

__all__ = ["Geometry", "Undecodable", "cut", "cut_each", "tensor_digest", "to_tensor"]

# Any change of what pixels come out for the same bytes needs a new number: digests must not lie.
VERSION = 2
# Shrinking on load to at least so many times the target. Measured on 13 phone photos against Pillow at full size, in levels of
# 255 and CPU-ms a photo: twice 0.33 and 35, three times 0.17 and 39, four times 0.14 and 42, not at all 0.07 and 126.
OVERSAMPLING = 3

# How a stored picture becomes upright: transposed first, then mirrored along x, along y. Exif 2.32, tag 0x0112.
UPRIGHT = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


@dataclass(frozen=True)
class Geometry:
    """How a photo becomes a square of `size_px`; the default was measured, see docs/decisions/002.

    `crop` resizes the shorter side and keeps the centre, as torchvision's Resize and CenterCrop place it; `pad`
    resizes the longer side and fills with grey `pad_value`; `squash` resizes both. Pixels are resampled with an
    antialiased bicubic.
    """

    size_px: int = 224
    fit: Literal["crop", "pad", "squash"] = "crop"
    interpolation: Literal["bicubic"] = "bicubic"
    pad_value: int = 128
    decoder: Literal["cpu", "gpu"] = "cpu"
    """gpu: decoded and resized by `gpu_decode`, whose pixels differ from these by a fraction of a level on average."""

    def __post_init__(self) -> None:
        if self.fit not in ("crop", "pad", "squash") or self.interpolation != "bicubic":
            raise ValueError(f"fit is one of crop, pad, squash, and interpolation bicubic; got {self}")
        if self.size_px < 1 or not 0 <= self.pad_value <= 255:
            raise ValueError(f"size_px is at least 1 and pad_value 0 to 255; got {self}")

    def digest(self) -> str:
        """SHA-256 of everything that decides which pixels come out for given bytes."""
        described = asdict(self)
        if self.fit != "pad":
            del described["pad_value"]
        if self.decoder == "cpu":
            del described["decoder"]
        return canonical_digest({"version": VERSION, "oversampling": OVERSAMPLING} | described)


def to_tensor(data: bytes, geometry: Geometry) -> np.ndarray:
    """uint8, 3 × size × size, RGB, EXIF-upright, C-contiguous. Raises Undecodable, and nothing else, for any bytes.

    Transparency is composited on white, 16 bits are cut to 8, animations give their first frame, CMYK is read as
    Adobe writes it, colour profiles are ignored. Every photo that `inspect` accepts has a tensor. Safe to call from
    many threads.
    """
    return cut(data, read_header(data, accepted_format(data)), geometry)


def cut(data: bytes, header: Header, geometry: Geometry) -> np.ndarray:
    """`to_tensor` for who has read the header already."""
    return cut_each(data, header, {geometry})[geometry]


def cut_each(data: bytes, header: Header, geometries: Collection[Geometry]) -> dict[Geometry, np.ndarray]:
    """`cut` by several geometries: those that shrink alike on load, as most do, share the decode."""
    shrinks = {each: shrink_for(_counting_side(header, each), OVERSAMPLING * each.size_px) for each in geometries}
    tensors: dict[Geometry, np.ndarray] = {}
    for shrink in set(shrinks.values()):
        with decoded(data, header, shrink) as picture:
            tensors |= {each: _upright(picture, header, shrink, each) for each in geometries if shrinks[each] == shrink}
    return tensors


def tensor_digest(tensor: np.ndarray) -> str:
    """SHA-256 of a tensor's dtype, shape and pixels."""
    hashed = hashlib.sha256(f"{tensor.dtype.str}{tensor.shape}".encode())
    hashed.update(np.ascontiguousarray(tensor).data)
    return hashed.hexdigest()


def _counting_side(header: Header, geometry: Geometry) -> int:
    """The side that `geometry` brings to its size, and that shrinking on load must leave twice as large."""
    return max(header.width_px, header.height_px) if geometry.fit == "pad" else min(header.width_px, header.height_px)


def _upright(picture: np.ndarray, header: Header, shrink: int, geometry: Geometry) -> np.ndarray:
    """Cut, resize and turn. Everything is computed on the original's size, so that shrinking on load moves nothing."""
    size = geometry.size_px
    transposed, mirrored_x, mirrored_y = UPRIGHT[header.exif_orientation]
    width, height = header.width_px, header.height_px
    if transposed:
        width, height = height, width
    whole_x, whole_y = fitted(width, height, geometry)
    kept_x, kept_y = min(size, whole_x), min(size, whole_y)
    # Where the kept window begins in the resized upright picture, then in the stored one: turned on 224 px, not on 12
    # MP.
    x, y = round((whole_x - kept_x) / 2), round((whole_y - kept_y) / 2)
    if mirrored_x:
        x = whole_x - kept_x - x
    if mirrored_y:
        y = whole_y - kept_y - y
    per_x, per_y = width / whole_x / shrink, height / whole_y / shrink
    box: Box = (x * per_x, y * per_y, (x + kept_x) * per_x, (y + kept_y) * per_y)
    if transposed:
        box = (box[1], box[0], box[3], box[2])
    tensor = resize(picture, box, (kept_x, kept_y) if transposed else (kept_y, kept_x))
    if transposed:
        tensor = tensor.transpose(0, 2, 1)
    tensor = tensor[:, :: -1 if mirrored_y else 1, :: -1 if mirrored_x else 1]
    if (kept_y, kept_x) == (size, size):
        return np.ascontiguousarray(tensor)
    padded = np.full((3, size, size), geometry.pad_value, np.uint8)
    top, left = (size - kept_y) // 2, (size - kept_x) // 2
    padded[:, top : top + kept_y, left : left + kept_x] = tensor
    return padded


def fitted(width: int, height: int, geometry: Geometry) -> tuple[int, int]:
    """Size (x, y) of the whole upright picture after resizing, before anything is cut or padded."""
    size = geometry.size_px
    if geometry.fit == "squash":
        return size, size
    if geometry.fit == "pad":
        longest = max(width, height)
        return max(1, round(size * width / longest)), max(1, round(size * height / longest))
    shortest = min(width, height)
    # torchvision cuts the fraction off; so do we, for the same pixels.
    return size * width // shortest, size * height // shortest
