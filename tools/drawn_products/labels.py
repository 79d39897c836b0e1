"""The printed front and back of a product: brand, name, motif, quantity, barcode. Shapes do not belong here."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from shelf_assets.demo.lettering import Colour, write_fitting
from tools.drawn_products.barcode import draw_barcode
from tools.drawn_products.motifs import motif
from tools.drawn_products.products import Look, Product
from tools.drawn_products.shading import rgb, tint

_CLAIMS = (
    "No added sugar",
    "Made in Europe",
    "100 % natural",
    "New recipe",
    "Quality since 1924",
    "Family size",
    "Vegan",
)


def _darkness(colour: Colour) -> float:
    return 1 - (0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]) / 255


def _readable(wanted: Colour, ground: Colour) -> Colour:
    """The wanted ink where it stands out from the ground, else black or white."""
    if abs(_darkness(wanted) - _darkness(ground)) > 0.28:
        return wanted
    return (255, 255, 255) if _darkness(ground) > 0.45 else (24, 24, 24)


def _gradient(width_px: int, height_px: int, top: Colour, bottom: Colour) -> Image.Image:
    rows = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    column = np.asarray(top, np.float32) + (np.asarray(bottom, np.float32) - np.asarray(top, np.float32)) * rows
    return Image.fromarray(column.astype(np.uint8)[:, None, :]).resize((width_px, height_px), Image.Resampling.BILINEAR)


def _paste_motif(art: Image.Image, name: str, box: tuple[float, float, float, float]) -> None:
    if not name:
        return
    picture = motif(name)
    left, top, right, bottom = box
    share = min((right - left) / picture.width, (bottom - top) / picture.height)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    small = picture.resize(size, Image.Resampling.BILINEAR)
    art.paste(small, (round((left + right - size[0]) / 2), round((top + bottom - size[1]) / 2)), small)


def _ground(look: Look, width_px: int, height_px: int) -> Image.Image:
    """The label's coloured paper, drawn at twice the size where it has curves."""
    ground, accent = rgb(look.ground), rgb(look.accent)
    art = _gradient(width_px, height_px, tint(ground, 1.08), tint(ground, 0.93))
    w, h = width_px * 2, height_px * 2
    layer = Image.new("L", (w, h), 0)
    pen = ImageDraw.Draw(layer)
    if look.layout == "band":
        pen.rectangle((0, h * 0.06, w, h * 0.3), fill=255)
        pen.rectangle((0, h * 0.9, w, h), fill=255)
    elif look.layout == "wave":
        points = [(x, h * 0.7 + h * 0.045 * math.sin(x / w * math.tau * 1.1)) for x in range(0, w + 8, 8)]
        pen.polygon([*points, (w, h), (0, h)], fill=255)
    elif look.layout == "circle":
        r = min(w * 0.42, h * 0.2)
        pen.ellipse((w / 2 - r, h * 0.68 - r, w / 2 + r, h * 0.68 + r), fill=255)
        pen.rectangle((0, 0, w, h * 0.035), fill=255)
    elif look.layout == "burst":
        for ray in range(0, 24, 2):
            a, b = ray * math.tau / 24, (ray + 1) * math.tau / 24
            reach = max(w, h) * 1.2
            pen.polygon(
                [
                    (w / 2, h * 0.58),
                    (w / 2 + reach * math.cos(a), h * 0.58 + reach * math.sin(a)),
                    (w / 2 + reach * math.cos(b), h * 0.58 + reach * math.sin(b)),
                ],
                fill=70,
            )
    elif look.layout == "frame":
        line = max(2, round(min(w, h) * 0.014))
        pen.rectangle((w * 0.035, h * 0.03, w * 0.965, h * 0.97), outline=255, width=line)
        pen.rectangle((w * 0.055, h * 0.045, w * 0.945, h * 0.955), outline=255, width=max(1, line // 3))
    elif look.layout == "window":
        pen.rounded_rectangle((w * 0.12, h * 0.5, w * 0.88, h * 0.86), w * 0.06, fill=255)
    art.paste(accent, (0, 0), layer.resize((width_px, height_px), Image.Resampling.BOX))
    return art


def front_art(product: Product, width_px: int, height_px: int, text_share: float = 0.92) -> Image.Image:
    """The label, RGB; text and motif keep to the middle text_share of the width (less on round things)."""
    look = product.look
    ground, accent, ink = rgb(look.ground), rgb(look.accent), rgb(look.ink)
    art = _ground(look, width_px, height_px)
    pen = ImageDraw.Draw(art)
    half, mid = width_px * text_share / 2, width_px / 2

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return mid + half * left, height_px * top, mid + half * right, height_px * bottom

    on_accent, on_ground = _readable(ink, accent), _readable(ink, ground)
    brand_ink = on_accent if look.layout == "band" else _readable(accent, ground)
    name_ink = on_ground
    # Two short lines read better than one long one.
    words = product.name.split()
    cut = min(range(1, len(words)), key=lambda k: abs(len(" ".join(words[:k])) - len(" ".join(words[k:]))), default=0)
    lines = [" ".join(words[:cut]), " ".join(words[cut:])] if cut and len(product.name) > 11 else [product.name]
    write_fitting(pen, product.brand, box(-0.9, 0.08, 0.9, 0.28), brand_ink, bold=True)
    step = 0.17 / len(lines)
    for place, line in enumerate(lines):
        write_fitting(pen, line, box(-0.86, 0.31 + step * place, 0.86, 0.31 + step * (place + 1)), name_ink, bold=True)
    _paste_motif(art, look.motif, box(-0.66, 0.52, 0.66, 0.85))
    foot_ink = on_accent if look.layout in ("band", "wave") else on_ground
    write_fitting(pen, product.quantity, box(0.25, 0.895, 0.9, 0.955), foot_ink, bold=True)
    claim = _CLAIMS[sum(map(ord, product.name)) % len(_CLAIMS)]
    write_fitting(pen, claim, box(-0.9, 0.905, 0.2, 0.95), foot_ink, anchor="lm")
    return art


def back_art(product: Product, width_px: int, height_px: int) -> Image.Image:
    """The side of a pack: nutrition table, small print, barcode; RGB."""
    ground, ink = rgb(product.look.ground), rgb(product.look.ink)
    art = _gradient(width_px, height_px, tint(ground, 1.05), tint(ground, 0.92))
    pen = ImageDraw.Draw(art)
    ink = _readable(ink, ground)
    w, h = float(width_px), float(height_px)
    write_fitting(pen, product.brand, (w * 0.1, h * 0.04, w * 0.9, h * 0.12), ink, bold=True)
    seed = sum(map(ord, product.name))
    for row, word in enumerate(("Energy", "Fat", "Carbohydrate", "of which sugars", "Protein", "Salt")):
        top = h * (0.18 + 0.055 * row)
        pen.line((w * 0.1, top, w * 0.9, top), fill=ink, width=1)
        write_fitting(pen, word, (w * 0.12, top, w * 0.6, top + h * 0.045), ink, anchor="lm")
        amount = f"{seed * (row + 3) % 480 / 10:g} g" if row else f"{seed % 400 + 60} kcal"
        write_fitting(pen, amount, (w * 0.66, top, w * 0.9, top + h * 0.045), ink)
    for row in range(4):
        top = h * (0.56 + 0.03 * row)
        pen.line((w * 0.1, top, w * (0.9 - 0.07 * ((row * 7 + seed) % 4)), top), fill=ink, width=max(1, round(h / 260)))
    paste_barcode(art, product.ean, (w * 0.06, h * 0.72, w * 0.94, h * 0.94))
    return art


def paste_barcode(art: Image.Image, ean: str, box: tuple[float, float, float, float]) -> None:
    """The barcode on its white card, as large as the box allows in whole modules, else shrunk to fit."""
    left, top, right, bottom = box
    module_px = max(1, int((right - left) // 113))
    bars = draw_barcode(ean, module_px, max(12, round(min(bottom - top, 80.0 * module_px))))
    if bars.width > right - left:
        bars = bars.resize((max(1, int(right - left)), bars.height), Image.Resampling.BOX)
    art.paste(bars, (round((left + right - bars.width) / 2), round((top + bottom - bars.height) / 2)))


def wrapped_art(product: Product, width_px: int, height_px: int) -> Image.Image:
    """The label of a round thing laid flat (half its girth): the front in the middle, the barcode to the right."""
    art = front_art(product, width_px, height_px, 0.6)
    bars = draw_barcode(product.ean, max(1, round(height_px * 0.42 / 113)), max(14, round(width_px * 0.1)))
    # Bars run round the girth on real bottles, so that the curve does not squeeze them.
    bars = bars.rotate(90, expand=True)
    if bars.height > height_px * 0.9:
        bars = bars.resize((bars.width, int(height_px * 0.9)), Image.Resampling.BOX)
    art.paste(bars, (round(width_px * 0.835), round((height_px - bars.height) * 0.55)))
    return art
