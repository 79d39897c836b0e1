"""EAN-13 numbers and their bars: check digit, module pattern, picture. Reading barcodes does not belong here."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from shelf_assets.demo.lettering import font

# GS1 General Specifications, figure 5.2.1.2-1: the A (odd parity) patterns of the digits 0-9, 1 = bar.
# C is the complement of A, B is C read backwards.
_A = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
_C = tuple("".join("10"[int(bit)] for bit in pattern) for pattern in _A)
_B = tuple(pattern[::-1] for pattern in _C)
# The first digit is not drawn: it chooses which of the six left digits take the B patterns.
_PARITY = ("AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB", "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA")
_QUIET_LEFT, _QUIET_RIGHT = 11, 7  # modules of white that a reader needs on each side


def check_digit(first_twelve: str) -> int:
    """The 13th digit: weights 1, 3, 1, 3 ... from the left, up to the next multiple of ten."""
    if len(first_twelve) != 12 or not (first_twelve.isascii() and first_twelve.isdigit()):
        raise ValueError(f"an EAN-13 check digit is made of 12 digits, got {first_twelve!r}")
    return -sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(first_twelve)) % 10


def with_check_digit(first_twelve: str) -> str:
    """The 13 digits of the EAN whose first twelve are given."""
    return f"{first_twelve}{check_digit(first_twelve)}"


def bar_modules(ean: str) -> str:
    """The 95 modules of an EAN-13 as "0" (space) and "1" (bar), guards included, quiet zones not."""
    if len(ean) != 13 or ean != with_check_digit(ean[:12]):
        raise ValueError(f"{ean!r} is not an EAN-13: 13 digits, the last one the check digit of the others")
    left = "".join(
        (_A if parity == "A" else _B)[int(digit)] for digit, parity in zip(ean[1:7], _PARITY[int(ean[0])], strict=True)
    )
    right = "".join(_C[int(digit)] for digit in ean[7:])
    return f"101{left}01010{right}101"


def draw_barcode(ean: str, module_px: int, height_px: int) -> Image.Image:
    """The barcode with quiet zones and its digits below, RGB, black on white, 113 modules wide."""
    bars = np.array([bit == "1" for bit in bar_modules(ean)])
    digits_px = max(7, 9 * module_px)
    width_px = (_QUIET_LEFT + 95 + _QUIET_RIGHT) * module_px
    bars_px = max(height_px - digits_px, digits_px // 2)
    pixels = np.full((bars_px + digits_px, width_px), 255, np.uint8)
    start = _QUIET_LEFT * module_px
    row = np.where(np.repeat(bars, module_px), 20, 255).astype(np.uint8)
    pixels[:bars_px, start : start + row.size] = row
    guards = np.zeros(95, bool)
    guards[[0, 1, 2, 45, 46, 47, 48, 49, 92, 93, 94]] = True
    guard_row = np.where(np.repeat(bars & guards, module_px), 20, 255).astype(np.uint8)
    pixels[bars_px : bars_px + digits_px // 2, start : start + row.size] = guard_row
    picture = Image.fromarray(pixels).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for place, digit in enumerate(ean):
        # One digit under its seven modules; the first stands alone in the left quiet zone.
        module = -7.0 if place == 0 else 3 + 7 * (place - 1) + (5 if place > 6 else 0) + 3.5
        centre = (start + module * module_px, bars_px + digits_px * 0.55)
        pen.text(centre, digit, fill=(20, 20, 20), font=font(digits_px), anchor="mm")
    return picture
