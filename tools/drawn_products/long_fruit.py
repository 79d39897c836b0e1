"""Single pieces of long or built-up produce: banana hand, cucumber, pineapple, broccoli. Piles do not belong here.

Every painter takes (size_px, rng) and returns an RGBA picture whose longer side is size_px.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tools.drawn_products.shading import Map, Surface, blend, bumped, grey, lit, noise


class _Bend:
    """A body round a circular arc, seen from the side: place along it (0..1) and across it (-1..1) per pixel."""

    def __init__(self, size_px: int, centre: tuple[float, float], radius: float, start: float, sweep: float) -> None:
        x = np.arange(size_px, dtype=np.float32)[None, :] - centre[0]
        y = np.arange(size_px, dtype=np.float32)[:, None] - centre[1]
        turn = np.arctan2(y, x) - start
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        away = np.hypot(x, y)
        self.along: Map = np.asarray(turn / sweep, np.float32)
        self.across_px: Map = np.asarray(away - radius, np.float32)
        self.out_x, self.out_y = x / (away + 1e-6), y / (away + 1e-6)


def _along_width(along: Map, profile: list[tuple[float, float]]) -> Map:
    """Half width by place along the body, by linear interpolation in a fine table (np.interp per pixel is slow)."""
    places, widths = zip(*profile, strict=True)
    table = np.interp(np.linspace(-0.1, 1.1, 512), places, widths).astype(np.float32)
    kernel = np.hanning(25)
    table = np.convolve(np.pad(table, 12, mode="edge"), kernel / kernel.sum(), mode="valid").astype(np.float32)
    return np.asarray(table[np.clip((along + 0.1) / 1.2 * 511, 0, 511).astype(np.int32)], np.float32)


def _one_banana(size_px: int, rng: np.random.Generator, bend: _Bend, thick_px: float, ripeness: float) -> Image.Image:
    profile = [
        (-0.1, 0.0),
        (-0.015, 0.0),
        (0.0, 0.21),
        (0.09, 0.2),
        (0.2, 0.72),
        (0.34, 0.97),
        (0.6, 1.0),
        (0.8, 0.84),
        (0.92, 0.45),
        (0.975, 0.2),
        (1.0, 0.17),
        (1.012, 0.0),
        (1.1, 0.0),
    ]
    half = _along_width(bend.along, profile) * thick_px
    across = np.clip(bend.across_px / np.maximum(half, 0.5), -1, 1)
    alpha = np.clip(half - np.abs(bend.across_px) + 0.5, 0, 1) * (half > 0.5)
    # A banana is five-sided: the slope across it goes in steps, with a pale ridge between two faces.
    slant = np.arcsin(across)
    slant = slant + 0.2 * np.sin(4.2 * slant + 0.9)
    outward, nz = np.sin(slant), np.cos(slant)
    surface = Surface(alpha.astype(np.float32), bend.out_x * outward, bend.out_y * outward, nz)
    along = bend.along
    albedo = blend((255, 216, 44), (246, 194, 22), 0.5 + 0.5 * noise(rng, size_px, size_px, size_px / 5, size_px / 5))
    green = np.clip((0.3 - along) * 2.4, 0, 1) + np.clip((along - 0.86) * 4, 0, 1)
    albedo = blend(albedo, (172, 184, 52), green * (0.75 - 0.5 * ripeness))
    ridge = np.exp(-np.square((across + 0.25) / 0.05)) + np.exp(-np.square((across - 0.55) / 0.05))
    albedo = blend(albedo, (196, 150, 24), ridge * 0.3)
    freckles = noise(rng, size_px, size_px, size_px / 90, size_px / 60) + 0.45 * noise(
        rng, size_px, size_px, size_px / 8, size_px / 8
    )
    albedo = blend(albedo, (112, 70, 20), np.clip((freckles - 1.02 + 0.3 * ripeness) * 4, 0, 0.8) * (along > 0.16))
    albedo = blend(albedo, (52, 38, 20), np.clip((along - 0.955) * 40, 0, 0.95) + np.clip((0.03 - along) * 40, 0, 0.6))
    return lit(albedo, surface, gloss=0.34, shine=18, ambient=0.46)


def banana(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A hand of two to five bananas that hang from one crown."""
    count = int(rng.integers(2, 6))
    ripeness = float(rng.random())
    picture = Image.new("RGBA", (size_px, size_px), (120, 90, 20, 0))
    crown = np.array([size_px * 0.2, size_px * 0.12])
    for place in range(count):
        # The nearest banana is drawn last and is the most bent; all begin at the crown.
        share = place / max(1, count - 1)
        radius = size_px * (0.66 - 0.14 * share + rng.uniform(-0.015, 0.015))
        heading = math.radians(-14 + 26 * share + rng.uniform(-4, 4))
        centre = crown + radius * np.array([math.cos(heading), -math.sin(heading)])
        sweep = -size_px * (0.98 + rng.uniform(-0.05, 0.04)) / radius
        bend = _Bend(size_px, (float(centre[0]), float(centre[1])), radius, np.pi - heading, sweep)
        one = _one_banana(size_px, rng, bend, size_px * rng.uniform(0.092, 0.104), ripeness)
        shadow = Image.new("RGBA", one.size, (70, 44, 6, 0))
        shade = (
            one.getchannel("A").filter(ImageFilter.BoxBlur(size_px / 40)).point([round(v * 0.55) for v in range(256)])
        )
        shadow.putalpha(shade)
        fallen = Image.new("RGBA", one.size, (70, 44, 6, 0))
        fallen.paste(shadow, (round(size_px * 0.008), round(size_px * 0.028)))
        covered = picture.getchannel("A")
        picture.alpha_composite(fallen)
        picture.putalpha(covered)
        picture.alpha_composite(one)
    pen = ImageDraw.Draw(picture)
    x, y = crown
    half = size_px * 0.042
    pen.rounded_rectangle(
        (x - half * 1.5, y - half * 0.9, x + half * 0.9, y + half), half * 0.4, fill=(122, 110, 44, 255)
    )
    pen.rounded_rectangle(
        (x - half * 1.4, y - half * 0.9, x + half * 0.8, y - half * 0.35), half * 0.3, fill=(84, 64, 34, 255)
    )
    return picture if rng.random() < 0.5 else picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def cucumber(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A cucumber lying nearly level: dark skin, pale streaks, small warts."""
    radius = size_px * rng.uniform(1.6, 4.0)
    sweep = size_px * 0.93 / radius
    bend = _Bend(size_px, (size_px / 2, size_px / 2 + radius), radius, -np.pi / 2 - sweep / 2, sweep)
    profile = [
        (-0.1, 0.0),
        (-0.01, 0.0),
        (0.0, 0.25),
        (0.03, 0.62),
        (0.12, 0.92),
        (0.4, 1.0),
        (0.8, 0.98),
        (0.95, 0.72),
        (1.0, 0.3),
        (1.01, 0.0),
        (1.1, 0.0),
    ]
    half = _along_width(bend.along, profile) * size_px * 0.083
    across = np.clip(bend.across_px / np.maximum(half, 0.5), -1, 1)
    alpha = np.clip(half - np.abs(bend.across_px) + 0.5, 0, 1) * (half > 0.5)
    surface = Surface(alpha.astype(np.float32), bend.out_x * across, bend.out_y * across, np.sqrt(1 - across * across))
    warts = np.clip(noise(rng, size_px, size_px, size_px / 50, size_px / 50) - 0.5, 0, 1)
    surface = bumped(surface, warts, 2.2)
    streaks = np.sin(np.arcsin(across) * 9 + noise(rng, size_px, size_px, size_px / 6, size_px / 20) * 1.5)
    albedo = blend((26, 78, 26), (58, 118, 44), 0.3 + 0.35 * streaks)
    albedo = blend(albedo, (150, 176, 92), np.clip((bend.along - 0.75) * 2, 0, 0.5) + warts * 0.5)
    picture = lit(albedo, surface, gloss=0.6, shine=30)
    rows = np.flatnonzero(np.asarray(picture.getchannel("A")).max(axis=1))
    return picture.crop((0, int(rows[0]), size_px, int(rows[-1]) + 1))


def pineapple(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A pineapple standing: scales in crossing spirals, a crown of pointed leaves."""
    wide_px, crown_px = round(size_px * 0.62), round(size_px * 0.4)
    tall_px = size_px - crown_px
    y = np.linspace(-1.03, 1.03, tall_px, dtype=np.float32)[:, None]
    x = np.linspace(-1.22, 1.22, wide_px, dtype=np.float32)[None, :]
    half = np.power(np.clip(1 - np.power(np.abs(y), 3.0), 1e-6, 1), 0.42) * (0.96 + 0.04 * y)
    side = x / half
    wobble = 0.03 * noise(rng, wide_px, tall_px, wide_px / 14, tall_px / 14)
    alpha = np.clip((1 - np.abs(side) + wobble) * half * wide_px / 2.44 + 0.5, 0, 1)
    side = np.clip(side, -0.999, 0.999)
    turn = np.arcsin(side)
    rise = y * 4.3 + 0.35 * np.sqrt(1 - side * side)
    a, b = turn * 2.2 + rise, turn * 2.2 - rise + 0.35
    fa, fb = a % 1 - 0.5, b % 1 - 0.5
    edge = np.maximum(np.abs(fa), np.abs(fb))
    scale_height = np.clip(1 - np.power(edge * 2, 3), 0, 1)
    slope = np.stack([np.broadcast_to(side * 0.9, alpha.shape), np.broadcast_to(y * np.abs(y) * 0.6, alpha.shape)])
    nz = np.sqrt(np.clip(1 - (slope**2).sum(0), 0.05, 1))
    surface = Surface(alpha.astype(np.float32), slope[0], slope[1], nz)
    surface = bumped(surface, scale_height * size_px / 55, 0.42)
    rind = noise(rng, wide_px, tall_px, wide_px / 50, tall_px / 50)
    which = np.sin(np.floor(a) * 12.9 + np.floor(b) * 78.2)
    albedo = blend((214, 142, 36), (168, 104, 28), 0.45 + 0.3 * which + 0.25 * rind)
    albedo = blend(albedo, (110, 118, 34), np.clip(-y * 0.6 + 0.1 * which, 0, 0.7) * np.ones_like(alpha))
    albedo = blend(albedo, (74, 48, 20), np.clip((edge - 0.4) * 9, 0, 0.9))
    eye = np.hypot(fa + fb, (fa - fb) * 0.8 - 0.12)
    albedo = blend(albedo, (236, 206, 130), np.clip((0.13 - np.abs(eye - 0.2)) * 5, 0, 0.5))
    albedo = blend(albedo, (66, 44, 22), np.clip((0.09 - eye) * 16, 0, 0.9))
    body = lit(albedo, surface, gloss=0.3, shine=16, ambient=0.48)
    picture = Image.new("RGBA", (wide_px, size_px), (70, 100, 40, 0))
    picture.alpha_composite(body, (0, crown_px))
    picture.alpha_composite(_crown(wide_px, size_px, crown_px, rng))
    return picture


def _crown(wide_px: int, size_px: int, crown_px: int, rng: np.random.Generator) -> Image.Image:
    layer = Image.new("RGBA", (wide_px * 2, size_px * 2), (70, 110, 60, 0))
    pen = ImageDraw.Draw(layer)
    cx, base = wide_px, crown_px * 2 + size_px * 0.05
    for ring in range(7):
        leaves = 9 - ring
        for leaf in range(leaves):
            spread = ((leaf + 0.5) / leaves - 0.5) * 2 + rng.uniform(-0.08, 0.08)
            reach = (0.62 + 0.38 * ring / 6) * (1 - 0.3 * abs(spread)) * rng.uniform(0.85, 1.02)
            fan = spread * (1.15 - 0.13 * ring)
            tip_x, tip_y = (
                cx + np.sin(fan) * reach * crown_px * 1.45,
                base - np.cos(fan * 0.85) * reach * crown_px * 1.95,
            )
            # The middle of a leaf bows outwards and its tip hangs a little.
            mid_x, mid_y = cx + (tip_x - cx) * 0.48, base + (tip_y - base) * 0.62
            half = wide_px * 0.052
            left, right = [], []
            for share in np.linspace(0, 1, 9):
                px = (1 - share) ** 2 * cx + 2 * share * (1 - share) * mid_x + share**2 * tip_x
                py = (1 - share) ** 2 * base + 2 * share * (1 - share) * mid_y + share**2 * tip_y
                w = half * (1 - share) ** 0.7 * (0.75 + 0.6 * share)
                left.append((px - w, py))
                right.append((px + w, py))
            tone = rng.uniform(0.72, 1.1) * (0.82 + 0.05 * ring) * (1.08 if spread < 0 else 0.9)
            dark, light = (
                (round(62 * tone), round(98 * tone), round(58 * tone)),
                (round(112 * tone), round(150 * tone), round(88 * tone)),
            )
            pen.polygon(left + right[::-1], fill=(*dark, 255))
            middle = [((lx + rx) / 2, ly) for (lx, ly), (rx, _) in zip(left, right, strict=True)]
            pen.polygon(left + middle[::-1], fill=(*light, 255))
    return layer.resize((wide_px, size_px), Image.Resampling.BOX)


@lru_cache(maxsize=256)
def _dome(radius_px: int) -> Map:
    """Height of a half ball over its square, in radii; below nought outside it."""
    axis = np.arange(-radius_px, radius_px + 1, dtype=np.float32) / radius_px
    up = 1 - axis[None, :] ** 2 - axis[:, None] ** 2
    return np.asarray(np.where(up > 0, np.sqrt(np.clip(up, 0, 1)), -99), np.float32)


def broccoli(size_px: int, rng: np.random.Generator) -> Image.Image:
    """A head of broccoli: about a thousand buds, the nearest one at each pixel, on a pale stalk."""
    unit = size_px / 2.25
    balls: list[tuple[float, float, float, float, float]] = []  # x, y, z, radius, tone
    for _ in range(17):
        fx, fy, fr = rng.uniform(-0.72, 0.72), rng.uniform(-0.6, 0.28), rng.uniform(0.25, 0.36)
        fz = 0.75 - 0.7 * math.hypot(fx, fy)
        balls.append((fx, fy, fz, fr, -0.5))
        for turn, luck, size, tone in zip(
            rng.uniform(0, 2 * math.pi, 60),
            rng.random(60),
            rng.uniform(0.032, 0.055, 60),
            rng.uniform(0.2, 0.8, 60),
            strict=True,
        ):
            away = math.sqrt(luck)
            x, y = fx + fr * away * math.cos(turn), fy + fr * away * math.sin(turn)
            balls.append((x, y, fz + fr * math.sqrt(1 - luck * 0.98), size, tone - 0.55 * away))
    depth = np.full((size_px, size_px), -9.0, np.float32)
    nearest = np.zeros((size_px, size_px), np.int32)
    for number, (x, y, z, radius, _) in enumerate(balls):
        r = max(2, round(radius * unit))
        left, top = round(size_px / 2 + x * unit) - r, round(size_px * 0.44 + y * unit) - r
        cut_x, cut_y = max(0, -left), max(0, -top)
        height = z + radius * _dome(r)[cut_y : size_px - top, cut_x : size_px - left]
        window = np.s_[top + cut_y : top + cut_y + height.shape[0], left + cut_x : left + cut_x + height.shape[1]]
        nearer = height > depth[window]
        np.copyto(depth[window], height, where=nearer)
        np.copyto(nearest[window], number, where=nearer)
    of_ball = np.asarray(balls, np.float32)[nearest]
    grid = np.arange(size_px, dtype=np.float32)
    radius_map = np.maximum(of_ball[..., 3], 2 / unit)
    nx = np.clip(((grid[None, :] - size_px / 2) / unit - of_ball[..., 0]) / radius_map, -1, 1) * 0.85
    ny = np.clip(((grid[:, None] - size_px * 0.44) / unit - of_ball[..., 1]) / radius_map, -1, 1) * 0.85
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.05, 1))
    cover = grey((depth > -8).astype(np.float32)).filter(ImageFilter.GaussianBlur(0.8))
    alpha = np.asarray(cover, np.float32) / 255
    albedo = blend((38, 84, 34), (112, 152, 70), 0.45 + 0.6 * of_ball[..., 4])
    head = lit(albedo, Surface(alpha, nx, ny, nz), gloss=0.08, shine=10, ambient=0.42)
    picture = Image.new("RGBA", (size_px, size_px), (140, 176, 96, 0))
    picture.alpha_composite(
        _stalk(round(size_px * 0.36), round(size_px * 0.5), rng), (round(size_px * 0.32), round(size_px * 0.49))
    )
    picture.alpha_composite(head)
    return picture


def _stalk(width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    x = np.linspace(-1, 1, width_px, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height_px, dtype=np.float32)[:, None]
    half = 0.62 + 0.5 * np.square(1 - y)
    side = np.clip(x / half, -1, 1)
    cover = np.clip((half - np.abs(x)) * width_px / 2 + 0.5, 0, 1)
    grain = noise(rng, width_px, height_px, 5, height_px / 3)
    surface = Surface(cover, side, np.zeros_like(side), np.sqrt(1 - side * side))
    return lit(blend((166, 196, 116), (196, 214, 150), 0.5 + 0.5 * grain), surface, gloss=0.1)
