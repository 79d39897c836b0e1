"""A product in its place: on a shelf with its tag, on a table, in a crate. Camera and files do not belong here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tools.drawn_products import backdrops
from tools.drawn_products.packs import PACKS, lay
from tools.drawn_products.price_tag import draw_price_tag
from tools.drawn_products.produce import PRODUCE, group, heap, paste_at
from tools.drawn_products.products import PRODUCTS, Product
from tools.drawn_products.shading import grid
from tools.drawn_products.vessels import SHAPES, draw_vessel

# Paints a product in a picture of width × height pixels, RGB.
Scene = Callable[[Product, int, int, np.random.Generator], Image.Image]

_NEIGHBOUR_PX = 200
# Width over height of every painted shape, or a little less.
_WIDTH_SHARES = {
    "box": 0.86, "wide_box": 1.5, "bar": 0.53, "milk_carton": 0.52, "paper_bag": 0.8, "pillow_bag": 0.7,
    **{name: 1.9 * max(radius for _, radius in shape.profile) for name, shape in SHAPES.items()},
}  # fmt: skip


def product_picture(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The product alone, RGBA, as large as fits into the size."""
    shape = product.look.shape
    if shape in PRODUCE:
        picture = group(shape, width_px, height_px, rng)
    else:
        # Painted at the height it will have: what a wide pack would lose in width is taken off beforehand.
        share = _WIDTH_SHARES[shape]
        tall = max(24, round(min(height_px, width_px / share)))
        picture = PACKS[shape](product, tall, rng) if shape in PACKS else draw_vessel(product, tall, rng)
    share = min(width_px / picture.width, height_px / picture.height)
    if share < 0.98:
        picture = picture.resize(
            (max(1, round(picture.width * share)), max(1, round(picture.height * share))), Image.Resampling.BILINEAR
        )
    return picture


@lru_cache(maxsize=len(PRODUCTS))
def _neighbour(place: int) -> Image.Image:
    """A small picture of another product, always the same, for the places beside the one that is photographed."""
    rng = np.random.default_rng(place)
    return product_picture(PRODUCTS[place], _NEIGHBOUR_PX, _NEIGHBOUR_PX, rng)


@lru_cache(maxsize=1)
def _pool() -> Image.Image:
    """A round soft shadow, 64 px."""
    y, x = grid(64, 64, -1, 1)
    return Image.fromarray((np.clip(1 - np.hypot(x, y), 0, 1) ** 0.8 * 210).astype(np.uint8))


def _stand(canvas: Image.Image, picture: Image.Image, middle_x: float, base_y: float, flat: float = 0.11) -> None:
    """Put a picture with its foot at base_y, its shadow spreading to the right on the board."""
    wide, deep = round(picture.width * 1.25), max(4, round(picture.width * flat))
    shadow = _pool().resize((wide, deep), Image.Resampling.BILINEAR)
    at = (round(middle_x - wide * 0.47), round(base_y - deep * 0.62))
    canvas.paste((14, 12, 10), at, shadow)
    paste_at(canvas, picture, round(middle_x - picture.width / 2), round(base_y - picture.height))


def _darkened(picture: Image.Image, level: float) -> Image.Image:
    grey = round(255 * level)
    return ImageChops.multiply(picture, Image.new("RGBA", picture.size, (grey, grey, grey, 255)))


def _others_like(product: Product, rng: np.random.Generator) -> list[int]:
    loose = product.look.shape in PRODUCE
    return [int(i) for i in rng.permutation(len(PRODUCTS)) if (PRODUCTS[i].look.shape in PRODUCE) == loose]


def on_shelf(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The product at eye level among its like, the tag on the rail below it."""
    board_y = round(height_px * rng.uniform(0.76, 0.84))
    canvas = backdrops.shelf(width_px, height_px, board_y, rng)
    foot_y = board_y - height_px * 0.012
    tall = (board_y - height_px * 0.04) * rng.uniform(0.74, 0.98)
    picture = product_picture(product, round(width_px * rng.uniform(0.5, 0.74)), round(tall), rng)
    middle = width_px * rng.uniform(0.42, 0.58)
    others = _others_like(product, rng)
    is_facing = rng.random() < 0.55
    spacing = picture.width * rng.uniform(1.03, 1.12)
    # A second row stands in the shadow of the first.
    behind = _darkened(
        picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)), Image.Resampling.BILINEAR), 0.5
    )
    behind = behind.resize((round(picture.width * 0.93), round(picture.height * 0.93)), Image.Resampling.BILINEAR)
    for step in (-1.5, -0.5, 0.5, 1.5):
        paste_at(
            canvas,
            behind,
            round(middle + step * spacing - behind.width / 2),
            round(foot_y - height_px * 0.028 - behind.height),
        )
    for side in (-1, 1):
        if is_facing:
            places = 1 + int(width_px / spacing / 2)
            for place in range(places, 0, -1):
                _stand(canvas, _darkened(picture, 0.9), middle + side * place * spacing, foot_y)
            continue
        edge = middle + side * picture.width * 0.54
        for other in others[:3] if side < 0 else others[3:6]:
            if not 0 < edge < width_px:
                break
            near = _neighbour(other)
            share = picture.height * rng.uniform(0.75, 1.02) / near.height
            share = min(share, picture.width * 1.1 / near.width)
            near = near.resize((round(near.width * share), round(near.height * share)), Image.Resampling.BICUBIC)
            _stand(canvas, _darkened(near, 0.88), edge + side * near.width / 2, foot_y)
            edge += side * near.width * 1.06
    _stand(canvas, picture, middle, foot_y)
    if picture.height < board_y * 0.4 and product.look.shape not in PRODUCE:
        _pile_up(
            canvas, picture, [middle + step * spacing for step in ((-1, 0, 1) if is_facing else (0,))], foot_y, rng
        )
    tag = draw_price_tag(product, round(min(width_px * rng.uniform(0.3, 0.42), (height_px - board_y) * 1.75)), rng)
    tag_y = board_y + round(height_px * 0.008)
    canvas.paste(
        (40, 40, 40),
        (round(middle - tag.width / 2) + 2, tag_y + 3, round(middle + tag.width / 2) + 3, tag_y + tag.height + 3),
    )
    canvas.paste(tag, (round(middle - tag.width / 2), tag_y))
    return canvas


def _pile_up(
    canvas: Image.Image, picture: Image.Image, columns: list[float], foot_y: float, rng: np.random.Generator
) -> None:
    """Low packs stand on each other in one or two more layers."""
    for layer in range(1, 1 + int(rng.integers(1, 3))):
        # What shows of a lid below is hidden by the pack that stands on it.
        y = foot_y - layer * picture.height * 0.93
        for x in columns:
            paste_at(
                canvas,
                picture,
                round(x - picture.width / 2 + rng.normal(0, 0.012) * picture.width),
                round(y - picture.height),
            )


def on_table(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The product at home: worktop in front, kitchen or shop out of focus behind, its tag lying beside it."""
    # Small pieces that lie about are photographed from above, so the table fills the picture.
    is_group = product.look.shape in PRODUCE and not PRODUCE[product.look.shape].stands
    horizon = round(height_px * (rng.uniform(0.0, 0.22) if is_group else rng.uniform(0.3, 0.6)))
    behind = (backdrops.wall, backdrops.aisle)[int(rng.integers(2))]
    top = (backdrops.wood, backdrops.stone, backdrops.cloth)[int(rng.integers(3))]
    canvas = Image.new("RGB", (width_px, height_px))
    canvas.paste(behind(width_px, horizon + 2, rng), (0, 0))
    canvas.paste(top(width_px, height_px - horizon, rng), (0, horizon))
    seam = (0, max(0, horizon - 8), width_px, horizon + 10)
    canvas.paste(canvas.crop(seam).filter(ImageFilter.GaussianBlur(3)), seam[:2])
    is_tag_left = bool(rng.random() < 0.5)
    room = (width_px * rng.uniform(0.56, 0.76), height_px * rng.uniform(0.62, 0.76))
    picture = product_picture(product, round(room[0]), round(room[1]), rng)
    lean = width_px * rng.uniform(0.03, 0.1) * (1 if is_tag_left else -1)
    foot_y = height_px * rng.uniform(0.83, 0.89)
    if is_group:
        paste_at(canvas, picture, round(width_px / 2 + lean - picture.width / 2), round(foot_y - picture.height))
    else:
        _stand(canvas, picture, width_px / 2 + lean, foot_y, 0.2)
    _lying_tag(canvas, product, is_tag_left, rng)
    return canvas


def _lying_tag(canvas: Image.Image, product: Product, is_left: bool, rng: np.random.Generator) -> None:
    """The price tag flat on the table in a lower corner, seen at a slant."""
    w, h = canvas.size
    tag = draw_price_tag(product, round(min(w * 0.33, h * 0.34)), rng)
    left = w * 0.05 if is_left else w * 0.93 - tag.width
    top = h * rng.uniform(0.78, 0.82)
    squeeze, lean = tag.height * 0.8, tag.width * rng.uniform(-0.05, 0.12)
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    corners = [
        (left + lean, top),
        (left + lean + tag.width * 0.94, top + h * 0.008),
        (left + tag.width, top + squeeze),
        (left, top + squeeze),
    ]
    lay(layer, tag.convert("RGBA"), corners)
    paste_at(canvas, layer, 0, 0)


def in_crate(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """Loose produce heaped to the edges of the picture, or behind a crate's front slat; the price card stuck in."""
    canvas = Image.new("RGB", (width_px, height_px), (52, 38, 24))
    slat = round(height_px * rng.uniform(0.12, 0.2)) if rng.random() < 0.6 else 0
    heap(product.look.shape, canvas, (0, 0, width_px, height_px - slat), rng)
    if slat:
        y = height_px - slat
        canvas.paste(backdrops.wood(width_px, slat, rng), (0, y))
        pen = ImageDraw.Draw(canvas)
        pen.rectangle((0, y, width_px, y + max(2, slat // 16)), fill=(236, 208, 168))
    tag = draw_price_tag(product, round(min(width_px * rng.uniform(0.3, 0.4), height_px * 0.44)), rng)
    x, y = round(width_px * rng.uniform(0.04, 0.56)), height_px - round(tag.height * (1.04 if slat else 1.25))
    canvas.paste((24, 20, 16), (x + 4, y + 5, x + tag.width + 4, y + tag.height + 5))
    canvas.paste(tag, (x, y))
    return canvas


def any_scene(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The product in one of the places where shoppers photograph such things, RGB of exactly this size."""
    luck = rng.random()
    shape = product.look.shape
    if shape not in PRODUCE:
        return (on_shelf if luck < 0.66 else on_table)(product, width_px, height_px, rng)
    if PRODUCE[shape].stands:
        return (on_shelf if luck < 0.5 else on_table)(product, width_px, height_px, rng)
    return (in_crate if luck < 0.55 else on_table)(product, width_px, height_px, rng)
