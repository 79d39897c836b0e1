"""Small photos for stories: each number has its own picture and its own bytes. Drawn scenes belong in tools.drawn_products."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from PIL import Image

COLOURS = {"red": (200, 40, 30), "green": (40, 190, 50), "blue": (30, 50, 210)}


def photo(number: int, file_format: str = "JPEG", colour: str | None = None) -> bytes:
    """A photo of 48 × 32 pixels in one main colour; equal numbers give equal bytes, different numbers different bytes."""
    name = colour or list(COLOURS)[number % 3]
    picture = Image.new("RGB", (48, 32), COLOURS[name])
    for bit in range(16):  # the number as 8 × 8 blocks, so that JPEG keeps it
        if number >> bit & 1:
            left, top = bit % 6 * 8, bit // 6 * 8
            picture.paste((128, 128, 128), (left, top, left + 8, top + 8))
    file = io.BytesIO()
    picture.save(file, file_format)
    return file.getvalue()


def photos(numbers: Iterable[int]) -> dict[str, bytes]:
    """File name -> bytes."""
    return {f"photo-{number}": photo(number) for number in numbers}


def truncated() -> bytes:
    """A photo whose upload was truncated."""
    picture = Image.effect_noise((160, 120), 90).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()[: file.tell() // 2]


def received(day: date, second: int) -> float:
    """A fixed time of the day for a file, so that lakes with equal photos have equal rows."""
    return (datetime.combine(day, time(12), UTC) + timedelta(seconds=second)).timestamp()
