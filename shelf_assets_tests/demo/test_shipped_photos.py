"""The shipped photos: they have the defects that their names say, they are small, and landing them again changes nothing."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from shelf_assets.build import open_lake
from shelf_assets.demo.landing import land_shipped
from shelf_assets.demo.shipped_photos import shipped_photos, shipped_photos_of
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.settings import Settings
from shelf_assets.vision.engine import decode_each
from shelf_assets.vision.perceptual_hash import distance, perceptual_hash
from shelf_assets.vision.preprocess import Geometry, Undecodable
from tools.drawn_products.defects import DEFECTS
from tools.drawn_products.photo_set import PhotoPlan, draw_photo, plan_photos

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(3)]
PLANS = {plan.name: plan for plan in plan_photos(seed=7, photos=50)}


@pytest.fixture(scope="module")
def shipped() -> dict[str, bytes]:
    return dict(shipped_photos())


@pytest.fixture(scope="module")
def decoded(shipped: dict[str, bytes]) -> dict[str, np.ndarray | Undecodable]:
    return dict(zip(shipped, decode_each(shipped.values(), Geometry()), strict=True))


def test_names_are_those_that_the_command_of_their_readme_draws(shipped: dict[str, bytes]) -> None:
    assert set(shipped) == set(PLANS)


@pytest.mark.parametrize("plan", list(PLANS.values())[::7], ids=lambda plan: plan.name)
def test_pixels_are_those_that_the_command_of_their_readme_draws(shipped: dict[str, bytes], plan: PhotoPlan) -> None:
    """Rounding differs between processors: bytes may differ, pixels by one level."""
    drawn, kept = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for data in (draw_photo(plan), shipped[plan.name])
    )
    assert drawn.shape == kept.shape and np.abs(drawn - kept).mean() < 1


def test_photos_are_small_and_of_many_kinds(shipped: dict[str, bytes]) -> None:
    sizes = [len(data) for data in shipped.values()]
    assert len(sizes) == 50 and max(sizes) <= 150_000 and sum(sizes) <= 3_000_000
    good = [plan for plan in PLANS.values() if not plan.defect]
    assert {plan.product.kind for plan in good} >= {"fruit", "vegetable", "box", "bag", "bottle", "jar", "can"}
    for subject in ("price-tag-", "ean-label-"):
        assert sum(name.startswith(subject) for name in shipped) >= 3, subject


def test_each_file_is_accepted_or_rejected_as_its_name_says(decoded: dict[str, np.ndarray | Undecodable]) -> None:
    rejected = {name: each.reason for name, each in decoded.items() if isinstance(each, Undecodable)}
    assert rejected == {name: plan.defect for name, plan in PLANS.items() if plan.defect}
    assert set(rejected.values()) == set(DEFECTS)


def test_names_say_the_exif_orientation(
    shipped: dict[str, bytes], decoded: dict[str, np.ndarray | Undecodable]
) -> None:
    turned = 0
    for name, data in shipped.items():
        if isinstance(decoded[name], Undecodable):
            continue
        with Image.open(io.BytesIO(data)) as picture:
            orientation = picture.getexif().get(0x0112, 1)
        assert (f"-exif-orientation-{orientation}." in name) == (orientation != 1), name
        turned += orientation != 1
    assert turned >= 5


def test_exact_copies_are_those_named_so(shipped: dict[str, bytes]) -> None:
    names_of: dict[str, list[str]] = {}
    for name, data in shipped.items():
        names_of.setdefault(hashlib.sha256(data).hexdigest(), []).append(name)
    equal = {frozenset(names) for names in names_of.values() if len(names) > 1}
    copies = [name for name in shipped if name.startswith("copy-of-")]
    assert copies and equal == {frozenset((name, name.removeprefix("copy-of-"))) for name in copies}


def test_the_one_near_duplicate_is_the_forwarded_photo(decoded: dict[str, np.ndarray | Undecodable]) -> None:
    hashes = {
        name: perceptual_hash(tensor)
        for name, tensor in decoded.items()
        if not isinstance(tensor, Undecodable) and not name.startswith("copy-of-")
    }
    assert None not in hashes.values()
    bits = PhotoSettings().near_duplicate_bits
    near = [
        {one, other}
        for one in hashes
        for other in hashes
        if one < other and distance(hashes[one], hashes[other]) <= bits
    ]
    forwarded = next(name for name in hashes if name.startswith("forwarded-"))
    assert near == [{forwarded, forwarded.removeprefix("forwarded-")}]


@pytest.mark.parametrize("days", [1, 3, 10])
def test_each_photo_belongs_to_one_day_and_days_have_equal_shares(days: int) -> None:
    dealt = [shipped_photos_of(position, days) for position in range(days)]
    assert Counter(photo for day in dealt for photo in day) == Counter(shipped_photos())
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_default_days_show_a_copy_of_another_day_and_each_a_rejected_photo() -> None:
    days = [{name for name, _ in shipped_photos_of(position, len(DAYS))} for position in range(len(DAYS))]
    assert all(any(PLANS[name].defect for name in day) for day in days)
    assert any(PLANS[name].copy_of and PLANS[name].copy_of not in day for day in days for name in day)


def test_landing_again_lands_nothing_new(settings: Settings) -> None:
    lake = open_lake(settings)
    first = list(land_shipped(lake, DAYS))
    stored = {each.key: each for day in DAYS for each in lake.objects.list(f"images/{day:%Y/%m/%d}/")}
    assert list(land_shipped(lake, DAYS)) == first and len(first) == len(stored) == 50
    assert {each.key: each for day in DAYS for each in lake.objects.list(f"images/{day:%Y/%m/%d}/")} == stored
