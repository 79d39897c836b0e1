"""From bytes to the model-neutral tensor: one function for training, batch and single-image use.

Normalisation belongs to the model and happens on the device; what a decoder is belongs in `decode`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from PIL import Image

from shelf_assets.vision.decode import WHITE, jpeg_rgb, opened, rgb, shrink_factor, sniff
from shelf_assets.vision.digests import canonical_digest
from shelf_assets.vision.inspect import DECODER_ERRORS, orientation_of
from shelf_assets.vision.reasons import Reason

# Any change of what pixels come out for the same bytes needs a new number: digests must not lie.
VERSION = 1

_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}


class Undecodable(ValueError):
    """No tensor can be made of these bytes; `reason` says why in the ledger's terms."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Geometry:
    """How a photo becomes a square: `crop` the centre, `pad` with white, or `squash`; see docs/decisions/002."""

    size_px: int = 224
    fit: Literal["crop", "pad", "squash"] = "crop"
    interpolation: Literal["bicubic"] = "bicubic"

    def digest(self) -> str:
        """SHA-256 of everything that decides which pixels come out for given bytes."""
        return canonical_digest({"version": VERSION} | asdict(self))


def to_tensor(data: bytes, geometry: Geometry) -> np.ndarray:
    """uint8, 3 × size × size, RGB, EXIF-upright, C-contiguous. Raises Undecodable."""
    name = sniff(data)
    try:
        with opened(data, name or "jpeg") as image:
            orientation = orientation_of(image)
            picture = _decoded(data, image, geometry)
            fitted = _fitted(picture, image.size, geometry)
        for transpose in _UPRIGHT.get(orientation, ()):
            fitted = fitted.transpose(transpose)
    except (*DECODER_ERRORS,) as error:
        raise Undecodable(Reason.decode_error, f"{type(error).__name__}: {error}"[:200]) from error
    return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))


def tensor_digest(tensor: np.ndarray) -> str:
    """SHA-256 of a tensor's pixels."""
    return hashlib.sha256(np.ascontiguousarray(tensor).tobytes()).hexdigest()


def _decoded(data: bytes, image: Image.Image, geometry: Geometry) -> Image.Image:
    """The picture in RGB, a JPEG shrunk while loading to no less than twice the target on the side that counts."""
    if image.format != "JPEG" or image.mode not in ("RGB", "L"):
        return rgb(image)
    counting_side = min(image.size) if geometry.fit == "crop" else max(image.size)
    factor = shrink_factor(counting_side, 2 * geometry.size_px)
    if geometry.fit == "squash":
        factor = min(factor, shrink_factor(min(image.size), 2 * geometry.size_px))
    return Image.fromarray(jpeg_rgb(data, factor))


def _fitted(picture: Image.Image, full_size: tuple[int, int], geometry: Geometry) -> Image.Image:
    """Resize once, from a box computed on the full size, so that shrinking on load moves nothing."""
    size = geometry.size_px
    width, height = full_size
    scale_x, scale_y = picture.width / width, picture.height / height
    if geometry.fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left * scale_x, top * scale_y, (left + side) * scale_x, (top + side) * scale_y)
        return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if geometry.fit == "squash":
        return picture.resize((size, size), Image.Resampling.BICUBIC)
    longest = max(width, height)
    inner = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
    canvas = Image.new("RGB", (size, size), WHITE)
    canvas.paste(picture.resize(inner, Image.Resampling.BICUBIC), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return canvas
