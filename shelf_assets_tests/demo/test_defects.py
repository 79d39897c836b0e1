"""Broken files must be broken in the way their name says, or the demo proves nothing."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from shelf_assets.demo.defects import CLAIMED_SIDE_PX, broken_file, claims_too_many_pixels
from shelf_assets.demo.draw import draw_product
from shelf_assets.demo.products import PRODUCTS


def _broken(defect: str, seed: int = 1) -> bytes:
    rng = np.random.default_rng(seed)
    return broken_file(defect, draw_product(PRODUCTS[12], rng, (200, 150)), rng)[0]


def test_an_empty_file_has_no_bytes() -> None:
    assert _broken("empty") == b""


def test_what_is_not_an_image_is_not_recognised_as_one() -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(_broken("not_an_image")))


@pytest.mark.parametrize("seed", range(6))
def test_a_truncated_photo_has_a_good_header_and_too_few_rows(seed: int) -> None:
    with Image.open(io.BytesIO(_broken("truncated", seed))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (200, 150))
        with pytest.raises(OSError, match="truncated"):
            picture.load()


def test_an_unsupported_format_is_a_sound_picture_in_a_format_that_phones_do_not_send() -> None:
    seen = set()
    for seed in range(8):
        with Image.open(io.BytesIO(_broken("unsupported_format", seed))) as picture:
            picture.load()
            seen.add(picture.format)
    assert seen == {"BMP", "TIFF"}


def test_the_bomb_is_small_and_is_refused_from_its_header() -> None:
    data = claims_too_many_pixels()
    assert len(data) < 1000
    assert struct.unpack(">II", data[16:24]) == (CLAIMED_SIDE_PX, CLAIMED_SIDE_PX) == (100_000, 100_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


def test_an_unknown_defect_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="truncated, not_an_image"):
        _broken("melted")
