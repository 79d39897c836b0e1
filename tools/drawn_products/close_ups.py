"""Close-ups of what a reader of labels photographs: a price tag on its rail, the back of a pack with its EAN."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tools.drawn_products import backdrops
from tools.drawn_products.labels import back_art
from tools.drawn_products.packs import lay
from tools.drawn_products.price_tag import draw_price_tag
from tools.drawn_products.produce import paste_at
from tools.drawn_products.products import Product


def price_tag(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The product's price tag on the edge of a shelf, as large as the picture allows."""
    tag = draw_price_tag(product, round(min(width_px * rng.uniform(0.74, 0.88), height_px * 1.3)), rng)
    tag_y = round((height_px - tag.height) * rng.uniform(0.4, 0.6))
    canvas = backdrops.shelf(width_px, height_px, max(8, tag_y - round(height_px * 0.02)), rng)
    left = (width_px - tag.width) // 2
    shadow_px = max(2, width_px // 200)
    canvas.paste(
        (36, 36, 36),
        (left + shadow_px, tag_y + shadow_px, left + shadow_px + tag.width, tag_y + shadow_px + tag.height),
    )
    canvas.paste(tag, (left, tag_y))
    return canvas


def ean_label(product: Product, width_px: int, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The back of the product's pack with nutrition table and EAN, lying on a table and a little turned."""
    top = (backdrops.wood, backdrops.stone, backdrops.cloth)[int(rng.integers(3))]
    canvas = top(width_px, height_px, rng)
    tall = min(height_px * 0.92, width_px * 1.15)
    wide = tall * 0.8
    art = back_art(product, round(wide), round(tall)).convert("RGBA")
    left, upper = (width_px - wide) / 2, (height_px - tall) / 2
    turn_px = width_px * rng.uniform(-0.03, 0.03)
    corners = [
        (left + turn_px, upper),
        (left + wide + turn_px, upper + abs(turn_px) / 2),
        (left + wide - turn_px, upper + tall),
        (left - turn_px, upper + tall - abs(turn_px) / 2),
    ]
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    lay(layer, art, corners)
    shadow = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    shadow.putalpha(layer.getchannel("A").point(lambda level: level // 2))
    shadow_px = max(2, width_px // 160)
    paste_at(canvas, shadow, shadow_px, shadow_px)
    paste_at(canvas, layer, 0, 0)
    return canvas
