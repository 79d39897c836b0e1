"""Single pieces of round produce: orange, lemon, apple, strawberry, tomato, pepper, mushroom. Piles do not belong here.

Every painter takes (size_px, rng) and returns an RGBA picture of that size, lit from the shop's ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tools.drawn_products.shading import Map, Surface, blend, bumped, lit, noise, to_rgba

_REACH = 1.16  # half the picture, in units of the body's radius


class Body(NamedTuple):
    """A puffed-up outline: its surface, distance from the middle (0..1 at the rim) and its own upright x, y."""

    surface: Surface
    rim: Map
    x: Map
    y: Map


def puffed(size_px: int, outline: Callable[[Map], Map], angle: float, roundness: float = 2.0) -> Body:
    """The body over a star-shaped outline: radius by bearing (0 at the body's top, clockwise)."""
    axis = np.linspace(-_REACH, _REACH, size_px, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    own_x = x * math.cos(angle) + y * math.sin(angle)
    own_y = y * math.cos(angle) - x * math.sin(angle)
    radius = outline(np.arctan2(own_x, -own_y))
    away = np.hypot(x, y) + 1e-6
    rim = away / radius
    alpha = np.clip((1 - rim) * radius * size_px / (2 * _REACH) + 0.5, 0, 1)
    nz = np.sqrt(np.clip(1 - np.power(np.clip(rim, 0, 1), roundness), 0, 1))
    across = np.sqrt(np.clip(1 - nz * nz, 0, 1)) / away
    surface = Surface(alpha, (x * across).astype(np.float32), (y * across).astype(np.float32), nz)
    return Body(surface, rim, own_x.astype(np.float32), own_y.astype(np.float32))


def _even(radius: float) -> Callable[[Map], Map]:
    return lambda bearing: np.full_like(bearing, radius)


def orange(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A whole orange: pores, a broken highlight, often the green scar of its stem."""
    body = puffed(size_px, _even(1.0), 0.0)
    pores = noise(rng, size_px, size_px, max(2.0, size_px / 62), max(2.0, size_px / 62))
    surface = bumped(body.surface, np.minimum(pores, 0.25), 0.17)
    patches = noise(rng, size_px, size_px, size_px / 4, size_px / 4)
    albedo = blend((252, 138, 12), (240, 112, 6), 0.5 + 0.5 * patches)
    albedo *= (0.97 + 0.05 * np.clip(pores, -1, 0.2))[..., None]
    if rng.random() < 0.6:
        away, bearing = rng.uniform(0.1, 0.75), rng.uniform(0, 2 * np.pi)
        sx, sy = body.x - away * math.cos(bearing), body.y - away * math.sin(bearing)
        spot = np.hypot(sx, sy) * (1 + 0.22 * np.cos(5 * np.arctan2(sy, sx)))
        albedo = blend(albedo, (214, 120, 20), np.clip(1.3 - spot * 9, 0, 0.5))
        albedo = blend(albedo, (96, 112, 44), np.clip((0.075 - spot) * 60, 0, 1))
    return lit(albedo, surface, gloss=0.42, shine=26)


def lemon(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A whole lemon lying at a random angle, its nipple at one end."""
    long_way = rng.uniform(0.92, 1.0)

    def outline(bearing: Map) -> Map:
        oval = 0.69 * long_way / np.hypot(0.69 * np.cos(bearing), long_way * np.sin(bearing))
        nipple = 0.15 * np.exp(-np.square(bearing / 0.17)) + 0.05 * np.exp(-np.square((np.pi - np.abs(bearing)) / 0.22))
        return np.asarray(oval + nipple, np.float32)

    body = puffed(size_px, outline, rng.uniform(-np.pi, np.pi))
    pores = noise(rng, size_px, size_px, max(2.0, size_px / 48), max(2.0, size_px / 48))
    surface = bumped(body.surface, np.minimum(pores, 0.3), 0.2)
    albedo = blend((255, 222, 20), (246, 200, 10), 0.5 + 0.5 * noise(rng, size_px, size_px, size_px / 3, size_px / 3))
    albedo = blend(albedo, (190, 190, 60), np.clip((np.abs(body.y) - 0.72) * 1.6, 0, 0.7))
    return lit(albedo, surface, gloss=0.42, shine=24, ambient=0.5)


def cut_half(
    size_px: int, rng: np.random.Generator, rind: tuple[int, int, int], flesh: tuple[int, int, int]
) -> Image.Image:
    """Half a citrus fruit seen on its cut face: rind, pith, wedges with streaks of pulp."""
    squash = rng.uniform(0.82, 1.0)
    tilt = rng.uniform(-0.5, 0.5)

    def outline(bearing: Map) -> Map:
        return np.asarray(squash / np.hypot(squash * np.sin(bearing), np.cos(bearing)), np.float32)

    body = puffed(size_px, outline, tilt)
    turn = np.arctan2(body.y / squash, body.x) + rng.uniform(0, 2)
    away = np.hypot(body.x, body.y / squash)
    wedges = 10
    wedge = np.abs((turn / (2 * np.pi) * wedges) % 1 - 0.5) * 2  # 1 on the membranes
    membrane = (1 - wedge) * away * np.pi / wedges
    streak = noise(rng, size_px, size_px, size_px / 60, size_px / 60)
    pale = (min(255, flesh[0] + 34), min(255, flesh[1] + 34), min(255, flesh[2] + 34))
    pulp = blend(flesh, pale, 0.35 + 0.35 * streak + 0.3 * (away - 0.5))
    pith = (
        np.clip((0.022 - membrane) * 70, 0, 1) + np.clip((away - 0.86) * 40, 0, 1) + np.clip((0.07 - away) * 40, 0, 1)
    )
    colours = blend(pulp, (255, 244, 206), pith)
    colours = blend(colours, rind, np.clip((away - 0.935) * 60, 0, 1))
    wet = np.clip(streak - 0.45, 0, 1) * np.clip(0.8 - away, 0, 1) * 160
    return to_rgba(colours * (1.0 - 0.09 * body.surface.ny[..., None]) + wet[..., None], body.surface.alpha)


def apple(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A Granny Smith: waxy green, pale specks, a dimple with a stem."""
    lean = rng.uniform(-0.35, 0.35)

    def outline(bearing: Map) -> Map:
        notch = 0.13 * np.exp(-np.square(bearing / 0.34))
        foot = 0.05 * np.exp(-np.square((np.pi - np.abs(bearing)) / 0.3))
        return np.asarray(0.95 + 0.055 * np.cos(2 * bearing + np.pi) - notch - foot, np.float32)

    body = puffed(size_px, outline, lean, 2.3)
    specks = np.clip(noise(rng, size_px, size_px, size_px / 64, size_px / 64) - 0.78, 0, 1) * 3.0
    blush = noise(rng, size_px, size_px, size_px / 2.5, size_px / 2.5)
    albedo = blend((122, 184, 28), (168, 212, 62), 0.45 + 0.4 * blush + 0.25 * body.y)
    albedo = blend(albedo, (222, 236, 160), specks)
    dimple_y = body.y + 0.66
    dimple = np.hypot(body.x * 0.75, dimple_y * 1.9)
    albedo = blend(albedo, (58, 98, 16), np.clip(1.0 - dimple * 2.7, 0, 0.85))
    picture = lit(albedo, body.surface, gloss=0.85, shine=75, ambient=0.46)
    return _with_stem(picture, lean, rng, base=-0.66, tip=-1.08, width=0.05, colour=(84, 60, 30))


def _with_stem(
    picture: Image.Image,
    lean: float,
    rng: np.random.Generator,
    *,
    base: float,
    tip: float,
    width: float,
    colour: tuple[int, int, int],
) -> Image.Image:
    size_px = picture.width
    layer = Image.new("RGBA", (size_px * 2, size_px * 2), (*colour, 0))
    unit = size_px / _REACH
    pen = ImageDraw.Draw(layer)
    bend = rng.uniform(-0.12, 0.12)
    points = []
    for step in range(7):
        y = base + (tip - base) * step / 6
        x = bend * (step / 6) ** 2
        across, down = x * math.cos(lean) - y * math.sin(lean), x * math.sin(lean) + y * math.cos(lean)
        points.append((size_px + unit * across, size_px + unit * down))
    pen.line(points, fill=(*colour, 255), width=max(3, round(unit * width * 1.7)), joint="curve")
    lighter = tuple(min(255, c + 50) for c in colour)
    lit_side = [(x - unit * width * 0.25, y) for x, y in points]
    pen.line(lit_side, fill=(*lighter, 255), width=max(2, round(unit * width * 0.5)))
    picture.alpha_composite(layer.resize(picture.size, Image.Resampling.BOX))
    return picture


def _leaf_star(
    picture: Image.Image, lean: float, rng: np.random.Generator, *, at: float, leaves: int, length: float, spread: float
) -> None:
    """Green sepals round the point (0, at) of the body, drawn over it at three times the size and shrunk."""
    size_px = picture.width
    layer = Image.new("RGBA", (size_px * 2, size_px * 2), (60, 110, 30, 0))
    pen = ImageDraw.Draw(layer)
    unit = size_px / _REACH
    cx, cy = size_px - unit * at * np.sin(lean), size_px + unit * at * np.cos(lean)
    for leaf in range(leaves):
        bearing = lean + 2 * np.pi * (leaf + rng.uniform(-0.25, 0.25)) / leaves
        long_px = unit * length * rng.uniform(0.75, 1.15)
        ex = cx + long_px * np.cos(bearing)
        ey = cy + long_px * np.sin(bearing) * spread
        side = unit * length * 0.24
        px, py = -np.sin(bearing) * side, np.cos(bearing) * side * spread
        mx, my = cx * 0.55 + ex * 0.45, cy * 0.55 + ey * 0.45
        shade = rng.uniform(0.75, 1.15) * (1.12 if np.sin(bearing) < 0 else 0.88)
        fill = (round(84 * shade), round(142 * shade), round(44 * shade), 255)
        pen.polygon([(cx, cy), (mx + px, my + py), (ex, ey), (mx - px, my - py)], fill=fill)
        pen.line([(cx, cy), (ex, ey)], fill=(150, 190, 92, 255), width=max(1, size_px // 110))
    layer = layer.resize(picture.size, Image.Resampling.BOX)
    picture.alpha_composite(layer)


def strawberry(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A ripe strawberry: a heart of glossy red, seeds in rows, a green cap."""
    lean = rng.uniform(-0.9, 0.9)

    def outline(bearing: Map) -> Map:
        turn = np.abs(bearing)
        shoulders = 0.84 - 0.1 * np.exp(-np.square(turn / 0.5))
        return np.asarray(
            shoulders + 0.2 * np.exp(-np.square((np.pi - turn) / 0.62)) - 0.1 * np.exp(-np.square((turn - 2.1) / 0.5)),
            np.float32,
        )

    body = puffed(size_px, outline, lean, 2.2)
    # Seeds sit on a lattice wrapped round the body; the lattice tightens towards the rim as a real one does.
    wrap = 1 / np.clip(body.surface.nz, 0.42, 1)
    u, v = body.x * wrap * 4.4, body.y * 4.6
    row = np.floor(v)
    cell_x = (u + 0.5 * (row % 2)) % 1 - 0.5 + 0.12 * np.sin(row * 7.3)
    cell_y = v % 1 - 0.5
    seed = np.hypot(cell_x * 2.0, cell_y * 1.15)
    pit = np.exp(-np.square(seed / 0.42))
    surface = bumped(body.surface, -pit * size_px / 90, 0.75)
    albedo = blend((206, 14, 24), (226, 40, 36), 0.5 + 0.6 * noise(rng, size_px, size_px, size_px / 4, size_px / 4))
    albedo = blend(albedo, (246, 176, 120), np.clip((-body.y - 0.5) * 2.0, 0, 0.55))
    albedo = blend(albedo, (130, 6, 14), np.clip(pit - 0.25, 0, 0.55))
    albedo = blend(albedo, (240, 206, 96), np.clip((0.27 - seed) * 12, 0, 1))
    picture = lit(albedo, surface, gloss=0.9, shine=55, ambient=0.42)
    _leaf_star(picture, lean, rng, at=-0.66, leaves=9, length=0.6, spread=0.55)
    return _with_stem(picture, lean, rng, base=-0.68, tip=-1.0, width=0.045, colour=(104, 150, 60))


def tomato(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A tomato with its calyx towards the camera's upper side."""
    lean = rng.uniform(-0.5, 0.5)
    body = puffed(size_px, lambda bearing: np.asarray(0.95 - 0.06 * np.cos(2 * bearing), np.float32), lean)
    albedo = blend((212, 34, 20), (232, 66, 30), 0.5 + 0.5 * noise(rng, size_px, size_px, size_px / 3, size_px / 3))
    picture = lit(albedo, body.surface, gloss=0.95, shine=80)
    _leaf_star(picture, lean, rng, at=-0.52, leaves=6, length=0.5, spread=0.5)
    return picture


def bell_pepper(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A bell pepper standing: three lobes, deep folds, glossy, a green stem."""
    lean = rng.uniform(-0.2, 0.2)
    ripe = [((196, 20, 16), (222, 40, 24)), ((250, 186, 16), (255, 204, 40)), ((44, 128, 28), (74, 152, 40))][
        int(rng.integers(3))
    ]

    def outline(bearing: Map) -> Map:
        block = np.power(
            np.power(np.abs(np.sin(bearing)) / 0.82, 3.2) + np.power(np.abs(np.cos(bearing)) / 0.97, 3.2), -1 / 3.2
        )
        taper = 1 - 0.1 * np.clip(-np.cos(bearing), 0, 1) * np.abs(np.sin(bearing)) * 1.6
        notch = 0.1 * np.exp(-np.square(bearing / 0.3)) + 0.05 * np.exp(-np.square((np.pi - np.abs(bearing)) / 0.2))
        return np.asarray(block * taper - notch, np.float32)

    body = puffed(size_px, outline, lean, 2.6)
    shift = rng.uniform(-0.12, 0.12)
    folds = np.zeros_like(body.x)
    for at in (-0.34 + shift, 0.3 + shift):
        crease = (body.x - at * (1 - 0.35 * np.square(body.y))) / 0.085
        folds -= np.exp(-np.abs(crease) * 0.9) * np.clip(1.15 - 0.3 * body.y, 0.4, 1.5)
    surface = bumped(
        body.surface, folds * size_px / 30 + noise(rng, size_px, size_px, size_px / 5, size_px / 4) * size_px / 60, 1.0
    )
    albedo = blend(ripe[0], ripe[1], 0.5 + 0.6 * noise(rng, size_px, size_px, size_px / 3, size_px / 3))
    albedo *= (1 - 0.22 * np.clip(-folds - 0.4, 0, 1))[..., None]
    picture = lit(albedo, surface, gloss=1.0, shine=60, ambient=0.44)
    _leaf_star(picture, lean, rng, at=-0.76, leaves=6, length=0.24, spread=0.45)
    return _with_stem(picture, lean, rng, base=-0.78, tip=-1.12, width=0.14, colour=(88, 136, 48))


def mushroom(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A brown button mushroom: a domed cap with a pale, gilled underside, over a stout stem."""
    lean = rng.uniform(-0.6, 0.6)

    def cap(bearing: Map) -> Map:
        turn = np.abs(bearing)
        return np.asarray(0.98 - 0.52 / (1 + np.exp(-(turn - 1.85) * 8)), np.float32)

    def stalk(bearing: Map) -> Map:
        return np.asarray(0.3 + 0.8 * np.exp(-np.square((np.pi - np.abs(bearing)) / 0.4)), np.float32)

    below = puffed(size_px, stalk, lean, 3)
    above = puffed(size_px, cap, lean, 2.4)
    fibres = noise(rng, size_px, size_px, size_px / 40, size_px / 6)
    stem_tone = 0.35 + 0.25 * fibres + np.clip(0.6 - below.y, 0, 0.6)
    stem = lit(blend((240, 228, 208), (178, 150, 116), stem_tone), below.surface, gloss=0.1)
    dirt = np.clip(noise(rng, size_px, size_px, size_px / 26, size_px / 26) - 0.45, 0, 1)
    tone = 0.4 + 0.45 * noise(rng, size_px, size_px, size_px / 5, size_px / 5) + 0.9 * dirt
    albedo = blend((206, 164, 116), (150, 104, 66), tone)
    # The rim curls in and shows the gills.
    rim = np.clip((above.y - 0.1) * 9, 0, 1)
    gills = 0.5 + 0.5 * np.sin(above.x * 60 / np.clip(0.4 + above.y, 0.3, 1))
    albedo = blend(albedo, (228, 206, 176), rim * (0.55 + 0.35 * gills))
    stem.alpha_composite(lit(albedo, above.surface, gloss=0.22, shine=16, ambient=0.44))
    return stem
