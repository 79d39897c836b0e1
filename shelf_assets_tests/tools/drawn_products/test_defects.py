"""Each defect is the one that its name says."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from tools.drawn_products.defects import CLAIMED_SIDE_PX, broken_file, claims_too_many_pixels
from tools.drawn_products.draw import draw_product
from tools.drawn_products.products import PRODUCTS


def _broken(defect: str, ending: str = "jpg", seed: int = 1) -> bytes:
    rng = np.random.default_rng(seed)
    return broken_file(defect, ending, draw_product(PRODUCTS[12], rng, (200, 150)), rng)


def test_an_empty_file_has_no_bytes() -> None:
    assert _broken("empty") == b""


def test_text_file_is_not_recognised_as_an_image() -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(_broken("not_an_image")))


@pytest.mark.parametrize("seed", range(6))
def test_truncated_photo_has_a_valid_header_and_too_few_rows(seed: int) -> None:
    with Image.open(io.BytesIO(_broken("truncated", seed=seed))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (200, 150))
        with pytest.raises(OSError, match="truncated"):
            picture.load()


@pytest.mark.parametrize(("ending", "file_format"), [("bmp", "BMP"), ("tif", "TIFF")])
def test_unsupported_format_is_a_valid_picture(ending: str, file_format: str) -> None:
    with Image.open(io.BytesIO(_broken("unsupported_format", ending))) as picture:
        picture.load()
        assert picture.format == file_format


def test_bomb_is_small_and_refused_by_its_header() -> None:
    data = claims_too_many_pixels()
    assert len(data) < 1000
    assert struct.unpack(">II", data[16:24]) == (CLAIMED_SIDE_PX, CLAIMED_SIDE_PX) == (100_000, 100_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


@pytest.mark.parametrize(("defect", "ending"), [("melted", "jpg"), ("truncated", "png")])
def test_an_unknown_defect_is_refused_with_the_known_ones(defect: str, ending: str) -> None:
    with pytest.raises(ValueError, match=r"truncated\.jpg, not_an_image\.jpg"):
        _broken(defect, ending)
