"""What a phone does to a scene: light, colour, viewpoint, blur, noise. Scenes and files do not belong here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from tools.drawn_products.packs import perspective_coefficients
from tools.drawn_products.shading import grid, noise


@dataclass(frozen=True)
class Shot:
    """How one photo is taken. Blur and shake are in pixels of a picture 1000 px long; noise in grey levels."""

    exposure: float = 1.0
    warmth: float = 0.0  # -1 blue shop light ... 1 yellow bulb
    vignette: float = 0.1
    tilt: float = 0.0  # how far the corners move, as a share of the sides
    blur_px: float = 0.0
    shake_px: float = 0.0
    noise_levels: float = 2.0


def any_shot(rng: np.random.Generator) -> Shot:
    """A shopper's photo: mostly fine, sometimes dark, skewed, soft or shaken."""
    is_poor = rng.random() < 0.22
    return Shot(
        exposure=float(rng.uniform(0.55, 0.75) if is_poor and rng.random() < 0.5 else rng.uniform(0.98, 1.3)),
        warmth=float(rng.normal(0.1, 0.4)),
        vignette=float(rng.uniform(0.02, 0.3)),
        tilt=float(max(0.0, rng.uniform(-0.02, 0.06))),
        blur_px=float(rng.uniform(1.0, 2.6) if is_poor else 0.0),
        shake_px=float(rng.uniform(4, 12) if rng.random() < 0.08 else 0.0),
        noise_levels=float(rng.uniform(4, 9) if is_poor else rng.uniform(1, 4)),
    )


def take(scene: Image.Image, shot: Shot, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The photo of an RGB scene, of the given size; the scene may be smaller, it is stretched as it is skewed."""
    picture = _lighted(scene, shot, rng)
    per_px = max(picture.size) / 1000
    if shot.blur_px * per_px > 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(shot.blur_px * per_px))
    if shot.shake_px * per_px >= 2:
        picture = _shaken(picture, round(shot.shake_px * per_px), rng)
    picture = _skewed(picture, shot.tilt, size, rng)
    return _grainy(picture, shot.noise_levels, rng)


def _lighted(scene: Image.Image, shot: Shot, rng: np.random.Generator) -> Image.Image:
    y, x = grid(24, 24, -1, 1)
    lean_x, lean_y = rng.uniform(-0.12, 0.12), rng.uniform(-0.14, 0.06)
    field = 1 + np.float32(lean_x) * x + np.float32(lean_y) * y - np.float32(shot.vignette) * (x * x + y * y) * 0.5
    field = field + 0.04 * noise(rng, 24, 24, 9, 9)
    field = field / field.max()
    small = Image.fromarray(np.clip(field * 255, 0, 255).astype(np.uint8))
    light = small.resize(scene.size, Image.Resampling.BICUBIC)
    shaded = ImageChops.multiply(scene, Image.merge("RGB", (light, light, light)))
    # One table per channel: exposure, colour of the light, and a film-like shoulder that keeps whites from clipping.
    levels = np.arange(256, dtype=np.float64) / 255
    table: list[int] = []
    for gain in (1 + 0.09 * shot.warmth, 1.0, 1 - 0.13 * shot.warmth):
        exposed = levels * shot.exposure * gain * 1.08
        toned = np.where(exposed < 0.75, exposed, 0.75 + 0.25 * np.tanh((exposed - 0.75) / 0.25))
        table += [int(v) for v in np.clip(toned * 255, 0, 255)]
    return shaded.point(table)


def _shaken(picture: Image.Image, reach_px: int, rng: np.random.Generator) -> Image.Image:
    """Motion blur along a line: the mean of a few shifted copies."""
    turn = rng.uniform(0, np.pi)
    total = picture
    for copy in range(1, 5):
        dx, dy = round(reach_px * copy / 4 * np.cos(turn)), round(reach_px * copy / 4 * np.sin(turn))
        total = Image.blend(total, ImageChops.offset(picture, dx, dy), 1 / (copy + 1))
    return total


def _skewed(picture: Image.Image, tilt: float, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The picture from a slightly different stand: each corner is cut in a little, never out."""
    w, h = picture.size
    if tilt < 0.01:
        return picture.resize(size, Image.Resampling.BILINEAR)
    cut = rng.uniform(0, tilt, 8)
    corners = [
        (w * cut[0], h * cut[1]),
        (w * (1 - cut[2]), h * cut[3]),
        (w * (1 - cut[4]), h * (1 - cut[5])),
        (w * cut[6], h * (1 - cut[7])),
    ]
    # The output rectangle is carried onto the quadrilateral inside the picture.
    target = [(0.0, 0.0), (float(size[0]), 0.0), (float(size[0]), float(size[1])), (0.0, float(size[1]))]
    numbers = perspective_coefficients(target, 1, 1, source=corners)
    return picture.transform(size, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR)


@lru_cache(maxsize=1)
def _grain() -> Image.Image:
    """A tile of sensor noise, standard deviation 32 round 128; luminance mostly, a little colour."""
    rng = np.random.default_rng(20)
    shared = rng.normal(0, 28, (512, 512, 1))
    tile = 128 + shared + rng.normal(0, 15, (512, 512, 3))
    return Image.fromarray(np.clip(tile, 0, 255).astype(np.uint8))


def _grainy(picture: Image.Image, levels: float, rng: np.random.Generator) -> Image.Image:
    scale = levels / 32
    tile = _grain().point([round(128 + (v - 128) * scale) for v in range(256)] * 3)
    w, h = picture.size
    cover = Image.new("RGB", (w, h))
    start_x, start_y = -int(rng.integers(512)), -int(rng.integers(512))
    for x in range(start_x, w, 512):
        for y in range(start_y, h, 512):
            cover.paste(tile, (x, y))
    return ImageChops.add(picture, cover, 1, -128)
