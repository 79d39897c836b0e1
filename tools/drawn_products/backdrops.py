"""What stands behind and below a product: shelf, table, blurred aisle, crate. The product itself does not belong here.

Pictures are RGB and of exactly the size asked for.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tools.drawn_products.shading import Map, blend, noise, rgb, tint

# Far packs: the muted colours of cardboard, paper, glass and a few loud brands.
_PACKAGING = (
    (196, 186, 168), (150, 138, 120), (222, 214, 200), (120, 44, 40), (52, 84, 122), (86, 110, 70), (202, 160, 72),
    (64, 56, 52), (176, 180, 184), (140, 90, 60), (232, 230, 224), (98, 128, 140),
)  # fmt: skip


def _picture(colours: Map) -> Image.Image:
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def wood(width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """Planks running across: grain drawn at half size, seams between the planks."""
    w, h = max(8, width_px // 2), max(8, height_px // 2)
    tones = (("#b98552", "#8f5f34"), ("#d9b88a", "#bd9766"), ("#6b4630", "#4d301f"), ("#c9c2b4", "#a59c8c"))
    light, dark = (rgb(c) for c in tones[int(rng.integers(len(tones)))])
    grain = 0.5 + 0.32 * noise(rng, w, h, w / 3, 2.2) + 0.3 * noise(rng, w, h, w / 2, h / 9)
    planks = int(rng.integers(2, 5))
    row = np.arange(h) * planks // h
    grain = grain + rng.uniform(-0.22, 0.22, planks)[row][:, None].astype(np.float32)
    board = _picture(blend(dark, light, grain)).resize((width_px, height_px), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(board)
    for plank in range(1, planks):
        y = height_px * plank // planks
        pen.line((0, y, width_px, y), fill=tint(dark, 0.5), width=max(1, height_px // 160))
    return board


def stone(width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A worktop of pale or dark speckled stone."""
    base = ((222, 220, 214), (196, 190, 182), (70, 72, 78), (238, 236, 232))[int(rng.integers(4))]
    w, h = max(8, width_px // 2), max(8, height_px // 2)
    speck = 0.5 + 0.3 * noise(rng, w, h, 1.6, 1.6) + 0.3 * noise(rng, w, h, w / 5, h / 3)
    return _picture(blend(tint(base, 0.86), tint(base, 1.1), speck)).resize(
        (width_px, height_px), Image.Resampling.BILINEAR
    )


def cloth(width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A checked or plain tablecloth."""
    colour = ((196, 44, 48), (60, 110, 168), (84, 140, 90), (236, 232, 222))[int(rng.integers(4))]
    step = max(6, width_px // int(rng.integers(9, 15)))
    x = (np.arange(width_px) // step % 2)[None, :]
    y = (np.arange(height_px) // step % 2)[:, None]
    share = ((x + y) * 0.5).astype(np.float32)
    weave = noise(rng, width_px, height_px, width_px / 4, height_px / 4) * 0.06
    return _picture(blend((246, 243, 238), colour, share * 0.85) * (1 + weave)[..., None])


def aisle(width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A shop aisle far out of focus: boards, blocks of packaging colours, a lamp or two."""
    w, h = 96, max(24, round(96 * height_px / width_px))
    small = Image.new("RGB", (w, h), (96, 92, 88))
    pen = ImageDraw.Draw(small)
    rows = int(rng.integers(2, 4))
    for row in range(rows):
        top, bottom = h * row // rows, h * (row + 1) // rows
        x = -2
        while x < w:
            wide = int(rng.integers(4, 12))
            colour = _PACKAGING[int(rng.integers(len(_PACKAGING)))]
            pen.rectangle((x, top + int(rng.integers(1, 6)), x + wide, bottom - 3), fill=colour)
            x += wide
        pen.rectangle((0, bottom - 3, w, bottom), fill=(206, 204, 200))
    for _ in range(int(rng.integers(0, 3))):
        left, top = int(rng.integers(-5, w - 5)), int(rng.integers(-3, h // 3))
        pen.ellipse((left, top, left + 10, top + 6), fill=(255, 250, 236))
    soft = small.filter(ImageFilter.GaussianBlur(float(rng.uniform(2.2, 4.5))))
    return soft.resize((width_px, height_px), Image.Resampling.BICUBIC)


def wall(width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """A kitchen wall out of focus: plain, tiled, or with a window's glow."""
    paints = ((226, 220, 208), (196, 210, 214), (238, 236, 230), (170, 182, 168), (88, 94, 104))
    base = paints[int(rng.integers(len(paints)))]
    small = Image.new("RGB", (64, 64), base)
    pen = ImageDraw.Draw(small)
    if rng.random() < 0.5:
        for line in range(0, 64, 11):
            pen.line((0, line, 64, line), fill=tint(base, 0.86))
            pen.line((line, 0, line, 64), fill=tint(base, 0.86))
    if rng.random() < 0.5:
        x = int(rng.integers(-10, 50))
        pen.rectangle((x, -4, x + 22, 34), fill=(255, 253, 246))
    return small.filter(ImageFilter.GaussianBlur(1.6)).resize((width_px, height_px), Image.Resampling.BICUBIC)


def shelf(width_px: int, height_px: int, board_y: int, rng: np.random.Generator) -> Image.Image:
    """A shop shelf: back panel, shadow of the shelf above, board at board_y, rail for tags, the dark below."""
    w, h = 48, 64
    y = np.broadcast_to(np.linspace(0, 1, h, dtype=np.float32)[:, None], (h, w))
    backs = ((206, 206, 202), (180, 184, 188), (226, 222, 212), (120, 122, 128))
    back = backs[int(rng.integers(len(backs)))]
    depth = 0.72 + 0.26 * y + 0.05 * noise(rng, w, h, 20, 20) - 0.5 * np.exp(-y / 0.09)
    panel = _picture(np.asarray(back, np.float32) * np.clip(depth, 0.1, 1.1)[..., None])
    picture = panel.resize((width_px, height_px), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for seam in range(1, 4):
        at = round(width_px * (seam / 3.3 + rng.uniform(-0.08, 0.02)))
        pen.line((at, 0, at, board_y), fill=tint(back, 0.6), width=max(1, width_px // 400))
    board = ((232, 232, 228), (214, 210, 202), (188, 152, 108), (92, 94, 98))[int(rng.integers(4))]
    top = board_y - round(height_px * 0.035)
    strip = np.linspace(0.55, 1.0, 16, dtype=np.float32)[:, None, None] * np.asarray(board, np.float32)
    picture.paste(_picture(strip).resize((width_px, board_y - top + 1), Image.Resampling.BILINEAR), (0, top))
    rail_px = round(height_px * 0.11)
    rails = ((244, 244, 242), (60, 64, 70), (214, 36, 40), (232, 228, 220))
    rail = rails[int(rng.integers(len(rails)))]
    shade = np.concatenate([np.full(2, 1.15), np.linspace(1.0, 0.82, 14)]).astype(np.float32)[:, None, None]
    picture.paste(
        _picture(shade * np.asarray(rail, np.float32)).resize((width_px, rail_px), Image.Resampling.BILINEAR),
        (0, board_y),
    )
    below = np.linspace(0.1, 0.42, 16, dtype=np.float32)[:, None, None] * np.asarray(back, np.float32)
    rest = height_px - board_y - rail_px
    if rest > 0:
        picture.paste(_picture(below).resize((width_px, rest), Image.Resampling.BILINEAR), (0, board_y + rail_px))
    return picture
