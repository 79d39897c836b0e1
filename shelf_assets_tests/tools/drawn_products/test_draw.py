"""A drawn photo and its file: sizes, directions, formats."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image, ImageOps

from tools.drawn_products.draw import draw_product, encode
from tools.drawn_products.products import PRODUCTS


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_every_orientation_shows_the_same_upright_picture(file_format: str, orientation: int) -> None:
    [milk] = [product for product in PRODUCTS if product.name == "Whole Milk 3.5%"]
    upright = draw_product(milk, np.random.default_rng(4), (120, 88))
    data = encode(upright, file_format, 95, orientation)
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.getexif().get(0x0112, 1) == orientation
        assert stored.size == ((88, 120) if orientation >= 5 else (120, 88))
        shown = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    difference = np.abs(shown - np.asarray(upright).astype(int)).mean()
    assert difference == 0 if file_format == "PNG" else difference < 8


def test_exif_of_drawn_photos_has_the_time_but_no_place() -> None:
    data = encode(Image.new("RGB", (8, 8)), "JPEG", 80, 6, datetime(2025, 3, 2, 12, tzinfo=UTC))
    exif = Image.open(io.BytesIO(data)).getexif()
    assert exif[0x0132] == "2025:03:02 12:00:00" and not exif.get_ifd(0x8825)


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (200, 300), (1000, 400)])
def test_a_drawn_product_has_the_size_asked_for(size: tuple[int, int]) -> None:
    for product in (PRODUCTS[0], PRODUCTS[11], PRODUCTS[30]):
        picture = draw_product(product, np.random.default_rng(5), size)
        assert picture.mode == "RGB" and picture.size == size
        assert np.asarray(picture).std() > 10
