"""A drawn day: what would break the demo's promises if it were not so."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from shelf_assets.demo.defects import DEFECTS
from shelf_assets.demo.draw import DrawnPhoto, draw_day, draw_product, encode
from shelf_assets.demo.products import PRODUCTS, product_named

DAY = date(2025, 3, 2)
SEED = 11


@pytest.fixture(scope="module")
def day() -> list[DrawnPhoto]:
    return list(draw_day(SEED, DAY, 16))


@pytest.fixture(scope="module")
def day_before() -> list[DrawnPhoto]:
    return list(draw_day(SEED, DAY - timedelta(days=1), 16))


def _digest(photos: list[DrawnPhoto]) -> str:
    parts = [part for p in photos for part in (p.name.encode(), p.data, p.received_at.isoformat().encode())]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def test_another_process_draws_the_same_bytes(day: list[DrawnPhoto]) -> None:
    code = "from shelf_assets_tests.demo import test_draw as t;print(t._digest(list(t.draw_day(t.SEED, t.DAY, 16))))"
    # Another hash seed: an order taken from a set or from hash() would show.
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=root
    )
    assert found.stdout.strip() == _digest(day)


def test_what_was_drawn_before_does_not_change_what_is_drawn_next(day: list[DrawnPhoto]) -> None:
    list(draw_day(SEED + 1, DAY, 3))
    again = draw_day(SEED, DAY, 16)
    assert _digest([next(again) for _ in range(6)]) == _digest(day[:6])


def test_another_seed_or_day_draws_other_photos(day: list[DrawnPhoto], day_before: list[DrawnPhoto]) -> None:
    good = {photo.data for photo in day if photo.defect is None and photo.copy_of is None}
    assert good.isdisjoint({p.data for p in draw_day(SEED + 1, DAY, 4) if p.data})
    assert good.isdisjoint({p.data for p in day_before if p.data})


def test_a_day_has_as_many_photos_as_asked_for_in_order_of_arrival_within_the_utc_day(day: list[DrawnPhoto]) -> None:
    times = [photo.received_at for photo in day]
    assert len(day) == 16 and times == sorted(times)
    assert all(time.tzinfo is UTC and time.date() == DAY for time in times)


def test_names_repeat_neither_within_a_day_nor_between_days(
    day: list[DrawnPhoto], day_before: list[DrawnPhoto]
) -> None:
    names = [photo.name for photo in day + day_before]
    assert len(set(names)) == len(names)


def test_copies_are_byte_equal_to_an_earlier_arrival(day: list[DrawnPhoto], day_before: list[DrawnPhoto]) -> None:
    by_name = {photo.name: photo for photo in day_before + day}
    copies = [photo for photo in day if photo.copy_of]
    assert {photo.copy_of_day for photo in copies} == {DAY, DAY - timedelta(days=1)}
    for copy in copies:
        original = by_name[copy.copy_of or ""]
        assert copy.data == original.data and copy.product == original.product
        assert original.received_at < copy.received_at and original.received_at.date() == copy.copy_of_day


def test_photos_that_are_no_copies_all_differ(day: list[DrawnPhoto]) -> None:
    originals = [photo.data for photo in day if photo.copy_of is None and photo.defect is None]
    assert len(set(originals)) == len(originals)


def test_good_photos_open_at_the_promised_sizes_and_broken_ones_have_no_product(day: list[DrawnPhoto]) -> None:
    for photo in day:
        assert (photo.product is None) == (photo.defect is not None)
        if photo.defect is None:
            with Image.open(io.BytesIO(photo.data)) as picture:
                picture.load()
                assert 500 <= max(picture.size) <= 1600
                expected = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}[picture.format or ""]
                assert photo.name.endswith(expected)


def test_a_full_day_has_every_defect_format_direction_and_some_rotated_files(full_day: list[DrawnPhoto]) -> None:
    photos = full_day
    assert len(photos) == 48
    assert {photo.defect for photo in photos} == {None, *DEFECTS}
    assert len([photo for photo in photos if photo.copy_of]) == 4
    formats, orientations, directions = set(), set(), set()
    for photo in photos:
        if photo.defect is None:
            with Image.open(io.BytesIO(photo.data)) as picture:
                formats.add(picture.format)
                orientation = picture.getexif().get(0x0112, 1)
                orientations.add(orientation)
                wide, tall = picture.size if orientation < 5 else picture.size[::-1]
                directions.add((wide > tall) - (wide < tall))
    assert formats == {"JPEG", "PNG", "WEBP"} and len(orientations) >= 3 and {-1, 1} <= directions


@pytest.mark.parametrize("photos", [0, 1, 3, 8])
def test_small_days_do_not_fail(photos: int) -> None:
    drawn = list(draw_day(SEED, DAY, photos))
    assert len(drawn) == photos
    assert photos < 8 or ({True, False} == {p.defect is None for p in drawn} and any(p.copy_of for p in drawn))


def test_a_negative_number_or_seed_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="0 or more photos, not -1"):
        next(draw_day(1, DAY, -1))
    with pytest.raises(ValueError, match="seed is 0 or more, not -3"):
        next(draw_day(-3, DAY, 4))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_every_orientation_shows_the_same_upright_picture(file_format: str, orientation: int) -> None:
    upright = draw_product(product_named("Whole Milk 3.5%"), np.random.default_rng(4), (120, 88))
    data = encode(upright, file_format, 95, orientation)
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.getexif().get(0x0112, 1) == orientation
        assert stored.size == ((88, 120) if orientation >= 5 else (120, 88))
        shown = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    difference = np.abs(shown - np.asarray(upright).astype(int)).mean()
    assert difference == 0 if file_format == "PNG" else difference < 8


def test_photos_in_exif_carry_the_time_but_no_place() -> None:
    data = encode(Image.new("RGB", (8, 8)), "JPEG", 80, 6, datetime(2025, 3, 2, 12, tzinfo=UTC))
    exif = Image.open(io.BytesIO(data)).getexif()
    assert exif[0x0132] == "2025:03:02 12:00:00" and not exif.get_ifd(0x8825)


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (200, 300), (1000, 400)])
def test_a_drawn_product_has_the_size_asked_for(size: tuple[int, int]) -> None:
    for product in (PRODUCTS[0], PRODUCTS[11], PRODUCTS[30]):
        picture = draw_product(product, np.random.default_rng(5), size)
        assert picture.mode == "RGB" and picture.size == size
        assert np.asarray(picture).std() > 10
