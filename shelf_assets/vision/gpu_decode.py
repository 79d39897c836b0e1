"""Decode JPEGs on a GPU with nvJPEG (torchvision), and rotate and resize them there. Experimental: not measured yet.

The CPU decodes other formats and photos that nvJPEG rejects. Pixels differ slightly from those of `preprocess` (another inverse
DCT, no shrinking on load), so these tensors have a geometry, and a digest, of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from shelf_assets.vision.formats import accepted_format
from shelf_assets.vision.headers import Header, read_header
from shelf_assets.vision.preprocess import UPRIGHT, Geometry, fitted, to_tensor
from shelf_assets.vision.reasons import Undecodable

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
# Photos are decoded at full size before they are resized: 32 of 12 MP take 1.2 GB on the device.
BATCH_PHOTOS = 32

Decode = Callable[[list[Any]], list[Any]]


class NoGpu(RuntimeError):
    """SHELF_VISION_DECODER=gpu is set, but the process has no CUDA device."""


def tensors_on_gpu(
    photos: Sequence[bytes], geometry: Geometry, decode: Decode | None = None
) -> list[np.ndarray | Undecodable]:
    """Tensors (uint8, 3 × size × size) of photos, decoded on the GPU where possible, else on the CPU.

    `decode` takes encoded JPEGs as uint8 tensors and returns RGB pictures (uint8, 3 × H × W); the default is nvJPEG on the
    first CUDA device. Raises NoGpu without one.
    """
    decode = decode or _nvjpeg()
    headers = [_baseline_header(data) for data in photos]
    chosen = [position for position, header in enumerate(headers) if header is not None]
    pictures = _decoded([photos[position] for position in chosen], decode)
    by_position = dict(zip(chosen, pictures, strict=True))
    found: list[np.ndarray | Undecodable] = []
    for position, (data, header) in enumerate(zip(photos, headers, strict=True)):
        picture = by_position.get(position)
        if header is None or picture is None or tuple(picture.shape[1:]) != (header.height_px, header.width_px):
            found.append(_on_cpu(data, geometry))
        else:
            found.append(_cut(picture, header, geometry))
    return found


@cache
def _nvjpeg() -> Decode:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    if not torch.cuda.is_available():
        raise NoGpu(
            "SHELF_VISION_DECODER=gpu, but this process has no CUDA device: set SHELF_VISION_DECODER=cpu, or run on a GPU pod"
        )
    _log.warning("SHELF_VISION_DECODER=gpu is experimental: its speed and accuracy have not been measured")
    return lambda encoded: decode_jpeg(encoded, mode=ImageReadMode.RGB, device="cuda")


def _baseline_header(data: bytes) -> Header | None:
    """Header of a JPEG with one scan; None for all other files, broken ones included."""
    try:
        header = read_header(data, accepted_format(data))
    except Undecodable:
        return None
    return header if header.format == "jpeg" and header.is_complete and header.scans <= 1 else None


def _decoded(photos: Sequence[bytes], decode: Decode) -> list[torch.Tensor | None]:
    """Decode all photos in one call, or one by one if the call fails; None for photos that cannot be decoded."""
    import torch

    if not photos:
        return []
    encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in photos]
    try:
        return list(decode(encoded))
    except RuntimeError:
        if len(photos) == 1:
            return [None]
    return [_decoded([data], decode)[0] for data in photos]


def _cut(picture: torch.Tensor, header: Header, geometry: Geometry) -> np.ndarray:
    """Rotate, resize and cut as `preprocess` does, with torch on the picture's device."""
    import torch

    transposed, mirrored_x, mirrored_y = UPRIGHT[header.exif_orientation]
    upright = picture.transpose(1, 2) if transposed else picture
    axes = [axis for axis, mirrored in ((2, mirrored_x), (1, mirrored_y)) if mirrored]
    upright = upright.flip(axes) if axes else upright
    height, width = upright.shape[1:]
    whole_x, whole_y = fitted(width, height, geometry)
    whole = torch.nn.functional.interpolate(
        upright[None].float(), size=(whole_y, whole_x), mode="bicubic", antialias=True
    )[0]
    size = geometry.size_px
    kept_x, kept_y = min(size, whole_x), min(size, whole_y)
    x, y = round((whole_x - kept_x) / 2), round((whole_y - kept_y) / 2)
    kept = whole[:, y : y + kept_y, x : x + kept_x].round().clamp(0, 255).to(torch.uint8)
    tensor = torch.full((3, size, size), geometry.pad_value, dtype=torch.uint8, device=kept.device)
    top, left = (size - kept_y) // 2, (size - kept_x) // 2
    tensor[:, top : top + kept_y, left : left + kept_x] = kept
    return np.asarray(tensor.cpu().numpy())


def _on_cpu(data: bytes, geometry: Geometry) -> np.ndarray | Undecodable:
    try:
        return to_tensor(data, geometry)
    except Undecodable as failed:
        return failed
