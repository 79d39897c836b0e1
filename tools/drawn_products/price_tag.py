"""The tag on the shelf edge: name, quantity, price in euros, EAN-13. Where it hangs does not belong here."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from shelf_assets.demo.lettering import text_width_px, write, write_fitting
from tools.drawn_products.labels import paste_barcode
from tools.drawn_products.products import Product

_INK = (26, 26, 30)
_CARDS = ((252, 252, 248), (252, 252, 248), (255, 226, 60), (255, 244, 214))


def draw_price_tag(product: Product, width_px: int, rng: np.random.Generator) -> Image.Image:
    """An RGB card, width_px wide and a little less than half as high."""
    height_px = round(width_px * 0.46)
    card = _CARDS[int(rng.integers(len(_CARDS)))]
    tag = Image.new("RGB", (width_px, height_px), card)
    pen = ImageDraw.Draw(tag)
    w, h = float(width_px), float(height_px)
    is_offer = card == _CARDS[2]
    if is_offer:
        pen.rectangle((0, 0, w, h * 0.2), fill=(208, 22, 30))
        write_fitting(pen, "OFFER", (w * 0.62, h * 0.01, w * 0.97, h * 0.19), (255, 255, 255), bold=True)
    name_ink = (255, 255, 255) if is_offer else _INK
    write_fitting(
        pen,
        product.name,
        (w * 0.04, h * 0.02, w * (0.6 if is_offer else 0.96), h * 0.19),
        name_ink,
        anchor="lm",
        bold=True,
    )
    write_fitting(
        pen, f"{product.brand}, {product.quantity}", (w * 0.04, h * 0.24, w * 0.46, h * 0.36), _INK, anchor="lm"
    )
    write_fitting(pen, product.unit_price_text, (w * 0.04, h * 0.37, w * 0.46, h * 0.49), _INK, anchor="lm")
    # Euros large, cents raised: the way shelf tags are read from two metres.
    whole, cents = f"{product.price_eur:.2f}".split(".")
    big_px = max(8, round(min(h * 0.74, w * 0.34 / max(0.6, text_width_px(f"{whole},", 100) / 100 + 0.7))))
    small_px = max(6, round(big_px * 0.52))
    left = w * 0.95 - text_width_px(f"{cents} €", small_px)
    price_ink = (200, 16, 24) if is_offer else _INK
    write(pen, (left - w * 0.005, h * 0.82), f"{whole},", big_px, price_ink, anchor="rs", bold=True)
    write(pen, (left, h * 0.82 - big_px * 0.34), f"{cents} €", small_px, price_ink, anchor="ls", bold=True)
    paste_barcode(tag, product.ean, (w * 0.04, h * 0.54, w * 0.52, h * 0.96))
    pen.rectangle((0, 0, w - 1, h - 1), outline=(170, 170, 168))
    return tag
