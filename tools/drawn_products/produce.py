"""Groups of fruit and vegetables: a heap in a crate, a few pieces on a table. Single pieces are painted elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from tools.drawn_products import long_fruit, round_fruit

Painter = Callable[[int, np.random.Generator], Image.Image]


def _half_orange(size_px: int, rng: np.random.Generator) -> Image.Image:
    return round_fruit.cut_half(size_px, rng, (244, 128, 14), (250, 150, 34))


def _half_lemon(size_px: int, rng: np.random.Generator) -> Image.Image:
    return round_fruit.cut_half(size_px, rng, (246, 208, 24), (246, 228, 120))


@dataclass(frozen=True)
class Produce:
    """How one kind is painted and heaped: the piece, its cut half if it has one, its size and spacing in a heap.

    heap_share: longer side of a piece as a share of the crate's width; overlap: rows' distance in piece heights.
    """

    piece: Painter
    heap_share: float
    overlap: float = 0.58
    step: float = 0.8  # distance between neighbours in piece widths
    cut: Painter | None = None
    stands: bool = False


PRODUCE: dict[str, Produce] = {
    "banana": Produce(long_fruit.banana, 0.46, 0.42, 0.62),
    "orange": Produce(round_fruit.orange, 0.25, cut=_half_orange),
    "lemon": Produce(round_fruit.lemon, 0.24, 0.5, 0.72, cut=_half_lemon),
    "apple": Produce(round_fruit.apple, 0.27),
    "strawberry": Produce(round_fruit.strawberry, 0.25, 0.5, 0.66),
    "pineapple": Produce(long_fruit.pineapple, 0.85, 0.4, 0.9, stands=True),
    "tomato": Produce(round_fruit.tomato, 0.25),
    "bell_pepper": Produce(round_fruit.bell_pepper, 0.31, 0.56, 0.7),
    "cucumber": Produce(long_fruit.cucumber, 0.62, 0.62, 0.9),
    "broccoli": Produce(long_fruit.broccoli, 0.4, 0.5, 0.78),
    "mushroom": Produce(round_fruit.mushroom, 0.24, 0.5, 0.66),
}


def _shadow(piece: Image.Image, strength: float) -> Image.Image:
    """A soft dark copy of a piece's outline, to be laid a little below it."""
    small = piece.getchannel("A").resize((max(1, piece.width // 4), max(1, piece.height // 4)), Image.Resampling.BOX)
    soft = small.filter(ImageFilter.GaussianBlur(max(1.0, piece.width / 90)))
    soft = Image.fromarray((np.asarray(soft) * strength).astype(np.uint8))
    dark = Image.new("RGBA", piece.size, (20, 12, 4, 0))
    dark.putalpha(soft.resize(piece.size, Image.Resampling.BILINEAR))
    return dark


def paste_at(canvas: Image.Image, picture: Image.Image, x: int, y: int) -> None:
    """Lay an RGBA picture over the canvas, its top left corner at (x, y), which may lie outside."""
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(picture.width, canvas.width - x), min(picture.height, canvas.height - y)
    if right <= left or bottom <= top:
        return
    part = picture if (left, top, right, bottom) == (0, 0, *picture.size) else picture.crop((left, top, right, bottom))
    if canvas.mode == "RGBA":
        canvas.alpha_composite(part, (x + left, y + top))
    else:
        canvas.paste(part, (x + left, y + top), part)


def heap(name: str, canvas: Image.Image, box: tuple[int, int, int, int], rng: np.random.Generator) -> None:
    """Fill a box of an RGB canvas with pieces, back rows first, each casting a shadow on those behind it."""
    kind = PRODUCE[name]
    left, top, right, bottom = box
    size_px = max(40, round(kind.heap_share * (right - left) * rng.uniform(0.9, 1.2)))
    # Four pieces are painted and used many times: the eye does not find the copies in a heap.
    pieces = [kind.piece(size_px, rng) for _ in range(4)]
    if name == "cucumber":
        pieces += [p.rotate(180, expand=True) for p in pieces[:2]]
    shadows = [_shadow(piece, 0.62) for piece in pieces]
    tall, wide = min(p.height for p in pieces), min(p.width for p in pieces)
    y = float(top - tall * 0.5)
    row = 0
    while y < bottom - tall * 0.12:
        x = left - wide * (0.6 if row % 2 else 0.2) - rng.uniform(0, 0.2) * wide
        while x < right:
            pick = int(rng.integers(len(pieces)))
            at_x, at_y = round(x + rng.normal(0, 0.05) * wide), round(y + rng.normal(0, 0.05) * tall)
            paste_at(canvas, shadows[pick], at_x + round(tall * 0.02), at_y + round(tall * 0.09))
            paste_at(canvas, pieces[pick], at_x, at_y)
            x += wide * kind.step * rng.uniform(0.9, 1.1)
        y += tall * kind.overlap
        row += 1


def group(name: str, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """One to five pieces that stand or lie together, RGBA, cut to their outline, at most the given size.

    Each piece brings its soft shadow on the table with it.
    """
    kind = PRODUCE[name]
    if kind.stands:
        return _cut_out(kind.piece(height_px, rng))
    if name in ("banana", "broccoli", "bell_pepper"):
        count = 1
    elif name == "cucumber":
        count = int(rng.integers(2, 4))
    else:
        count = int(rng.integers(1, 6))
    share = {1: 1.0, 2: 0.62, 3: 0.58}.get(count, 0.46)
    size_px = round(min(width_px, height_px * (2.2 if count == 2 else 1.25)) * share)
    canvas = Image.new("RGBA", (width_px, height_px + size_px // 8), (20, 12, 4, 0))
    places = {
        1: [(0.5, 0.5)],
        2: [(0.3, 0.6), (0.7, 0.66)],
        3: [(0.5, 0.36), (0.29, 0.64), (0.7, 0.67)],
        4: [(0.36, 0.34), (0.66, 0.36), (0.27, 0.68), (0.7, 0.7)],
        5: [(0.33, 0.34), (0.66, 0.33), (0.2, 0.66), (0.5, 0.7), (0.8, 0.67)],
    }[count]
    if name == "cucumber":
        size_px, places = width_px, [(0.5, 0.42 + 0.15 * k) for k in range(count)]
    for place, (x, y) in enumerate(places):
        is_cut = kind.cut is not None and place == len(places) - 1 and count > 1
        piece = (kind.cut if is_cut and kind.cut else kind.piece)(size_px, rng)
        at_x = round(width_px * x - piece.width / 2 + rng.normal(0, 0.02) * size_px)
        at_y = round(height_px * y - piece.height / 2)
        paste_at(canvas, _shadow(piece, 0.5), at_x + size_px // 40, at_y + size_px // 14)
        paste_at(canvas, piece, at_x, at_y)
    return _cut_out(canvas)


def _cut_out(picture: Image.Image) -> Image.Image:
    """Without the empty margin; the faintest rim of a shadow counts as empty."""
    solid = np.asarray(picture.getchannel("A")) > 24
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not rows.size:
        return picture
    return picture.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
