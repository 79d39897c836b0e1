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

# Increment it with every change of the pixels that are made from the same bytes: it is part of the digest.
VERSION = 2
# Least size, in multiples of the target, to which a photo is shrunk on load. Measured on 13 phone photos against Pillow at full
# size, in levels of 255 and CPU-ms a photo: 2: 0.33 and 35; 3: 0.17 and 39; 4: 0.14 and 42; no shrinking: 0.07 and 126.
OVERSAMPLING = 3

# Transformation to an upright picture: transpose first, then mirror along x, then along y. Exif 2.32, tag 0x0112.
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
    """gpu: decoded and resized by `gpu_decode`, whose pixels differ by a fraction of a level on average."""

    def __post_init__(self) -> None:
        if self.fit not in ("crop", "pad", "squash") or self.interpolation != "bicubic":
            raise ValueError(f"fit is one of crop, pad, squash, and interpolation bicubic; got {self}")
        if self.size_px < 1 or not 0 <= self.pad_value <= 255:
            raise ValueError(f"size_px is at least 1 and pad_value 0 to 255; got {self}")

    def digest(self) -> str:
        """SHA-256 of all parameters that determine the pixels made from given bytes."""
        described = asdict(self)
        if self.fit != "pad":
            del described["pad_value"]
        if self.decoder == "cpu":
            del described["decoder"]
        return canonical_digest({"version": VERSION, "oversampling": OVERSAMPLING} | described)


def to_tensor(data: bytes, geometry: Geometry) -> np.ndarray:
    """uint8, 3 × size × size, RGB, EXIF-upright, C-contiguous. Raises Undecodable, and no other exception, for any bytes.

    Transparency is composited on white, of 16 bits the upper 8 are kept, an animation gives its first frame, CMYK is read as
    Adobe writes it, colour profiles are ignored. Every accepted photo has a tensor. Thread-safe.
    """
    return cut(data, read_header(data, accepted_format(data)), geometry)


def cut(data: bytes, header: Header, geometry: Geometry) -> np.ndarray:
    """`to_tensor` for callers that have read the header."""
    return cut_each(data, header, {geometry})[geometry]


def cut_each(data: bytes, header: Header, geometries: Collection[Geometry]) -> dict[Geometry, np.ndarray]:
    """`cut` for several geometries; those with the same shrink factor, as is usual, share one decode."""
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
    """Side that `geometry` resizes to its size, and which shrinking on load must leave OVERSAMPLING times as large."""
    return max(header.width_px, header.height_px) if geometry.fit == "pad" else min(header.width_px, header.height_px)


def _upright(picture: np.ndarray, header: Header, shrink: int, geometry: Geometry) -> np.ndarray:
    """Cut, resize and rotate. Positions are computed for the original size, so that shrinking on load does not shift them."""
    size = geometry.size_px
    transposed, mirrored_x, mirrored_y = UPRIGHT[header.exif_orientation]
    width, height = header.width_px, header.height_px
    if transposed:
        width, height = height, width
    whole_x, whole_y = fitted(width, height, geometry)
    kept_x, kept_y = min(size, whole_x), min(size, whole_y)
    # Origin of the kept window in the resized upright picture, then in the stored one, because it is cheaper to rotate 224 px
    # than 12 MP.
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
