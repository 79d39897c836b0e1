"""Draws text on pictures: the font, its missing characters, fitting and shortening. Callers choose the text.

Pillow's built-in font draws the same letters on every machine, whatever fonts the system has. It has no euro sign
and no accents: the euro is drawn as a C with two bars, the umlaut's dots are set by hand, other accents are dropped.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]

_SPELT = str.maketrans({"ß": "ss", "–": "-", "—": "-", "−": "-", "•": "·", "×": "x", "→": ">", "æ": "ae", "ø": "o"})
_DRAWN_SIGNS = frozenset("…·°“”‘’")  # characters beyond ASCII that the font has
_DIAERESIS = "\u0308"


@lru_cache(maxsize=96)
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """The built-in font at a size in pixels, at least 5."""
    loaded = ImageFont.load_default(size=max(5, size_px))
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install a Pillow wheel that has it")
    return loaded


def _plain(text: str) -> tuple[str, list[tuple[int, str]]]:
    """The text in characters that the font has, and the accents to draw by hand: position of the letter, accent."""
    letters: list[str] = []
    signs: list[tuple[int, str]] = []
    for sign in unicodedata.normalize("NFD", text.translate(_SPELT)):
        if sign == "€":
            signs.append((len(letters), sign))
            letters.append("C")
        elif sign == _DIAERESIS and letters:
            signs.append((len(letters) - 1, sign))
        elif sign in _DRAWN_SIGNS or " " <= sign <= "~":
            letters.append(sign)
        elif sign.isspace():
            letters.append(" ")
        elif not unicodedata.combining(sign):
            letters.append("?")
    return "".join(letters), signs


def text_width_px(text: str, size_px: int) -> float:
    """The width of the line in pixels."""
    return font(size_px).getlength(_plain(text)[0])


def write(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size_px: int,
    fill: Colour,
    *,
    anchor: str = "mm",
    bold: bool = False,
) -> None:
    """One line at a point; anchor is Pillow's: l, m or r across, then a (top), m or s (baseline) down."""
    plain, signs = _plain(text)
    letters = font(size_px)
    stroke_px = size_px / 36 if bold else 0.0
    pen.text(at, plain, fill=fill, font=letters, anchor=anchor, stroke_width=stroke_px, stroke_fill=fill)
    if not signs:
        return
    ascent, descent = letters.getmetrics()
    left = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * letters.getlength(plain)
    baseline = at[1] + {"a": float(ascent), "m": (ascent - descent) / 2, "s": 0.0}[anchor[1]]
    thick = max(1, round(size_px * (0.1 if bold else 0.07)))
    for place, sign in signs:
        start = left + letters.getlength(plain[:place])
        wide = letters.getlength(plain[place])
        if sign == "€":
            for height in (0.29, 0.44):
                y = baseline - height * size_px
                pen.line((start - size_px * 0.03, y, start + wide * 0.66, y), fill=fill, width=thick)
        else:
            y = baseline - size_px * (0.84 if plain[place].isupper() else 0.66)
            for x in (start + wide * 0.3, start + wide * 0.7):
                pen.ellipse((x - thick * 0.75, y - thick * 0.75, x + thick * 0.75, y + thick * 0.75), fill=fill)


def write_fitting(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    fill: Colour,
    *,
    bold: bool = False,
    anchor: str = "mm",
) -> None:
    """One line as large as the box (left, top, right, bottom) allows: centred ("mm"), at its left ("lm") or right."""
    left, top, right, bottom = box
    per_size = max(text_width_px(text, 64), 1.0) / 64
    size_px = max(5, int(min((bottom - top) / 1.05, (right - left) * 0.97 / per_size)))
    across = {"l": left, "m": (left + right) / 2, "r": right}[anchor[0]]
    write(pen, (across, (top + bottom) / 2), text, size_px, fill, anchor=anchor, bold=bold)


def shortened(text: str, size_px: int, width_px: float) -> str:
    """The text on one line, or as much of it as fits followed by "…"."""
    text = " ".join(text.split())
    if text_width_px(text, size_px) <= width_px:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width_px(text[:middle].rstrip() + "…", size_px) <= width_px:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
