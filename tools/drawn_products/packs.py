"""Flat-sided packs: boxes, cartons, bags, bars. Round things and what is printed on the front do not belong here.

Every painter takes (product, height_px, rng) and returns an RGBA picture about that high.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from tools.drawn_products.labels import back_art, front_art
from tools.drawn_products.products import Product
from tools.drawn_products.shading import Map, grey, grid, noise, rgb, tint

Point = tuple[float, float]


def perspective_coefficients(
    corners: list[Point], width_px: float, height_px: float, source: list[Point] | None = None
) -> list[float]:
    """Pillow's eight numbers that carry a picture of the given size, or its part inside source, onto four corners.

    Corners run clockwise from the top left. Solves the usual homography equations, output to input.
    """
    if source is None:
        source = [(0.0, 0.0), (width_px, 0.0), (width_px, height_px), (0.0, height_px)]
    rows, right_side = [], []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right_side += [u, v]
    return [float(c) for c in np.linalg.solve(np.array(rows, float), np.array(right_side, float))]


def lay(canvas: Image.Image, art: Image.Image, corners: list[Point]) -> None:
    """Composite a picture onto the canvas with its corners, clockwise from top left, at the given points."""
    left = max(0, int(min(x for x, _ in corners)) - 2)
    top = max(0, int(min(y for _, y in corners)) - 2)
    right = min(canvas.width, int(max(x for x, _ in corners)) + 3)
    bottom = min(canvas.height, int(max(y for _, y in corners)) + 3)
    # A transparent rim of the edge's own colour lets the interpolation smooth the outline.
    edge = (0, art.height // 2, 1, art.height // 2 + 1)
    rim = art.convert("RGBA").crop(edge).resize((art.width + 2, art.height + 2))
    rim.putalpha(0)
    rim.paste(art, (1, 1))
    inner = [(x - left, y - top) for x, y in corners]
    numbers = perspective_coefficients(inner, art.width, art.height)
    # The rim moved the art by one pixel: u' = u + 1, so (a, b, c) gains (g, h, 1), and so does (d, e, f).
    a, b, c, d, e, f, g, h = numbers
    numbers = [a + g, b + h, c + 1, d + g, e + h, f + 1, g, h]
    placed = rim.transform(
        (right - left, bottom - top), Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR
    )
    canvas.alpha_composite(placed, (left, top))


def under_light(art: Image.Image, light: Map, shine: Map | None = None) -> Image.Image:
    """The flat art times light (1 = as printed), then brightened by shine; both may be smaller, they are stretched."""

    def plane(values: Map) -> Image.Image:
        small = grey(values)
        if small.size != art.size:
            small = small.resize(art.size, Image.Resampling.BICUBIC)
        return Image.merge("RGB", (small, small, small))

    result = ImageChops.multiply(art.convert("RGB"), plane(light))
    return result if shine is None else ImageChops.screen(result, plane(shine))


def _face_light(rng: np.random.Generator, level: float, wrinkles: float = 0.02) -> Map:
    y, x = grid(24, 16)
    fall = level * (1.02 - 0.1 * y - 0.05 * x)
    return np.asarray(fall + wrinkles * noise(rng, 16, 24, 5, 7), np.float32)


def _sheen(rng: np.random.Generator, strength: float) -> Map:
    y, x = grid(48, 32)
    at = rng.uniform(0.1, 0.9)
    return np.asarray(strength * np.exp(-np.square((x + 0.35 * y - at - 0.1) / 0.16)), np.float32)


def _stood(front: Image.Image, side: Image.Image, rng: np.random.Generator, depth: float) -> Image.Image:
    """A front and a side joined at an upright edge, the far edges a little shorter, the picture cut to size."""
    w, h = front.size
    deep = w * depth
    rise = h * rng.uniform(0.012, 0.035) * min(1.0, depth * 4)
    canvas = Image.new("RGBA", (round(w + deep) + 4, h + 2), (0, 0, 0, 0))
    near = w + 1
    lay(
        canvas,
        side.convert("RGBA"),
        [(near - 1, 1), (near + deep, 1 + rise * 1.6), (near + deep, h - rise * 1.4), (near - 1, h)],
    )
    lay(canvas, front.convert("RGBA"), [(1, 1 + rise * 0.7), (near, 1), (near, h), (1, h - rise * 0.5)])
    pen = ImageDraw.Draw(canvas)
    pen.line((near, 2, near, h - 1), fill=(255, 255, 255, 60), width=max(1, h // 300))
    return canvas


def _box_of(width_share: float, depth: float) -> Callable[[Product, int, np.random.Generator], Image.Image]:
    def paint(product: Product, height_px: int, rng: np.random.Generator) -> Image.Image:
        wide = round(height_px * width_share)
        front = under_light(front_art(product, wide, height_px), _face_light(rng, 0.97), _sheen(rng, 0.12))
        deep = max(8, round(wide * depth * 1.6))
        side = under_light(back_art(product, deep, height_px), _face_light(rng, 0.7))
        return _stood(front, side, rng, depth)

    return paint


def _milk_carton(product: Product, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A gable-top carton: panel, slanted roof with a screw cap, the fin on top, the folded side."""
    wide = round(height_px * 0.4)
    roof, fin = round(height_px * 0.13), round(height_px * 0.07)
    panel = height_px - roof - fin
    deep = round(wide * rng.uniform(0.3, 0.5))
    ground, accent = rgb(product.look.ground), rgb(product.look.accent)
    front = under_light(front_art(product, wide, panel), _face_light(rng, 0.97), _sheen(rng, 0.08))
    side = under_light(back_art(product, max(60, deep * 2), panel), _face_light(rng, 0.72))
    canvas = Image.new("RGBA", (wide + deep + 4, height_px + 2), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    top = roof + fin
    drop = height_px * 0.012
    shift = deep * 0.5
    pen.polygon([(wide, top), (wide + deep, top + drop), (wide + shift, fin)], fill=(*tint(ground, 0.6), 255))
    pen.polygon(
        [(wide, top), (wide + shift * 0.9, fin + roof * 0.5), (wide + shift, fin)], fill=(*tint(ground, 0.74), 255)
    )
    lay(
        canvas,
        side.convert("RGBA"),
        [(wide, top), (wide + deep, top + drop), (wide + deep, height_px - drop), (wide, height_px)],
    )
    slope = under_light(Image.new("RGB", (wide, roof), tint(ground, 0.98)), _face_light(rng, 1.0))
    lay(canvas, slope.convert("RGBA"), [(1 + shift, fin), (wide + shift, fin), (wide, top + 1), (1, top + 1)])
    crest = under_light(Image.new("RGB", (wide, fin), accent), _face_light(rng, 0.9, 0.05))
    lay(
        canvas,
        crest.convert("RGBA"),
        [(1 + shift, 1), (wide + shift, 1), (wide + shift, fin + 1), (1 + shift, fin + 1)],
    )
    pen.line((1 + shift, fin, wide + shift, fin), fill=(*tint(ground, 0.6), 255), width=max(1, height_px // 250))
    lay(canvas, front.convert("RGBA"), [(1, top), (wide, top), (wide, height_px), (1, height_px)])
    cx, cy, r = wide * 0.52 + shift * 0.5, fin + roof * 0.52, roof * 0.36
    cap = rgb(product.look.content) if product.look.content != "#ffffff" else accent
    pen.ellipse((cx - r, cy - r * 0.5, cx + r, cy + r * 0.95), fill=(*tint(cap, 0.62), 255))
    pen.rectangle((cx - r, cy - r * 0.35, cx + r, cy + r * 0.2), fill=(*tint(cap, 0.62), 255))
    pen.ellipse((cx - r, cy - r * 1.0, cx + r, cy + r * 0.45), fill=(*tint(cap, 1.12), 255))
    pen.ellipse((cx - r * 0.75, cy - r * 0.8, cx + r * 0.75, cy + r * 0.25), fill=(*tint(cap, 0.95), 255))
    return canvas


def _paper_bag(product: Product, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A block of paper with a folded top; creases catch the light."""
    wide, fold = round(height_px * 0.62), round(height_px * 0.08)
    front = front_art(product, wide, height_px - fold)
    full = Image.new("RGB", (wide, height_px), tint(rgb(product.look.ground), 0.93))
    full.paste(front, (0, fold))
    pen = ImageDraw.Draw(full)
    pen.line((0, fold, wide, fold), fill=tint(rgb(product.look.ground), 0.66), width=max(2, height_px // 130))
    light = _creased(rng, 96, 140, 0.07)
    light[: round(140 * fold / height_px)] *= 0.94
    side = under_light(back_art(product, max(20, round(wide * 0.5)), height_px), _creased(rng, 40, 140, 0.08) * 0.74)
    return _stood(under_light(full, light), side, rng, 0.3)


def _creased(rng: np.random.Generator, width: int, height: int, depth: float) -> Map:
    sharp = 1 - np.abs(noise(rng, width, height, 26, 34)) * 2
    return np.asarray(0.95 + depth * (noise(rng, width, height, 18, 22) + 0.8 * np.clip(sharp, 0, 1) - 0.3), np.float32)


def _pillow_bag(product: Product, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A sealed film bag: crimped ends, a swollen middle, wrinkles that run from the seals, hard reflections."""
    wide = round(height_px * 0.7)
    art = front_art(product, wide, height_px, 0.8)
    cols, rows = 180, 256
    y, x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None], np.linspace(-1, 1, cols, dtype=np.float32)[None, :]
    seal = np.clip((np.abs(y) - 0.88) * 60, 0, 1)
    near_seal = np.exp(-np.square((np.abs(y) - 0.9) / 0.24))
    pleats = noise(rng, cols, rows, 7, 110) * near_seal + 0.5 * noise(rng, cols, rows, 30, 40)
    swell = (1 - np.power(np.abs(x), 2.6)) * (1 - np.power(np.abs(y) / 0.94, 6).clip(0, 1))
    height = 40 * swell + 3.2 * pleats
    slope_y, slope_x = np.gradient(height)
    light = 0.86 - 0.1 * slope_x * 0.55 - 0.16 * slope_y * 0.5
    light = light * (1 - seal) + seal * (0.82 + 0.1 * np.sin(y * 210) + 0 * x)
    facing = np.clip(-(slope_x * 0.8 + slope_y * 1.0) * 0.5 + 0.12 + 0.35 * pleats, 0, 1)
    shine = np.power(facing, 3) * 0.75 * (1 - seal) + 0.16 * np.exp(-np.square((x + 0.45 + 0.08 * pleats) / 0.09)) * (
        1 - seal
    )
    picture = under_light(art, np.clip(light, 0.25, 1).astype(np.float32), shine.astype(np.float32)).convert("RGBA")
    # The filling draws the sides in; the cut at both ends is a zigzag.
    px_x = np.abs(np.linspace(-1, 1, wide, dtype=np.float32))[None, :]
    px_y = np.linspace(-1, 1, height_px, dtype=np.float32)[:, None]
    waist = 0.955 + 0.045 * np.power(np.abs(px_y), 8) + 0.008 * noise(rng, 1, height_px, 1, height_px / 7)[:, :1]
    inside = np.clip((waist - px_x) * wide / 2, 0, 1)
    zigzag = np.abs((np.arange(wide, dtype=np.float32) / (wide / 46)) % 1 - 0.5)[None, :] * 0.02
    inside = inside * np.clip((1 - zigzag - np.abs(px_y)) * height_px / 2 + 0.5, 0, 1)
    picture.putalpha(grey(inside.astype(np.float32)))
    return picture


PACKS: dict[str, Callable[[Product, int, np.random.Generator], Image.Image]] = {
    "box": _box_of(0.68, 0.28),
    "wide_box": _box_of(1.3, 0.16),
    "bar": _box_of(0.52, 0.05),
    "milk_carton": _milk_carton,
    "paper_bag": _paper_bag,
    "pillow_bag": _pillow_bag,
}
