"""One drawn photo: a product's picture, and a picture as the bytes of a file."""

from __future__ import annotations

import io
from datetime import datetime

import numpy as np
from PIL import Image

from tools.drawn_products.camera import Shot, any_shot, take
from tools.drawn_products.products import Product
from tools.drawn_products.scene import Scene, any_scene

# Scenes are painted at most this long and stretched by the camera: a phone's pictures are no sharper than that.
_SCENE_PX = 820
_ORIENTATION_TAG, _MODEL_TAG, _TIME_TAG = 0x0112, 0x0110, 0x0132
# How stored pixels lie when the EXIF orientation says n (EXIF 2.32, tag 0x0112): the way back from upright.
_AS_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def draw_product(
    product: Product,
    rng: np.random.Generator,
    size: tuple[int, int],
    shot: Shot | None = None,
    scene: Scene = any_scene,
) -> Image.Image:
    """One photo of the product, RGB of size (width_px, height_px): any place and light, unless scene and shot are given."""
    width_px, height_px = size
    share = min(1.0, _SCENE_PX / max(size))
    painted = scene(product, max(32, round(width_px * share)), max(32, round(height_px * share)), rng)
    return take(painted, any_shot(rng) if shot is None else shot, size, rng)


def encode(
    picture: Image.Image, file_format: str, quality: int, orientation: int = 1, taken_at: datetime | None = None
) -> bytes:
    """The upright picture as "JPEG", "PNG" or "WEBP" bytes, its pixels stored as the EXIF orientation (1-8) says."""
    stored = picture.transpose(_AS_STORED[orientation]) if orientation in _AS_STORED else picture
    exif = Image.Exif()
    if orientation != 1 or taken_at is not None:
        exif[_ORIENTATION_TAG] = orientation
        exif[_MODEL_TAG] = "Drawn Phone 1"
    if taken_at is not None:
        exif[_TIME_TAG] = taken_at.strftime("%Y:%m:%d %H:%M:%S")
    buffer = io.BytesIO()
    if file_format == "PNG":
        stored.save(buffer, "PNG", compress_level=1, exif=exif)
    elif file_format == "WEBP":
        stored.save(buffer, "WEBP", quality=quality, method=0, exif=exif)
    else:
        stored.save(buffer, "JPEG", quality=quality, progressive=quality > 92, exif=exif)
    return buffer.getvalue()
