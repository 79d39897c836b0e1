"""A set of drawn photos: reproducible, unique names, the promised kinds."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tools.drawn_products.defects import DEFECTS
from tools.drawn_products.photo_set import MOST_BYTES, PhotoPlan, draw_photo, plan_photos

SEED = 11


@pytest.fixture(scope="module")
def plans() -> list[PhotoPlan]:
    return plan_photos(SEED, 16)


@pytest.fixture(scope="module")
def drawn(plans: list[PhotoPlan]) -> dict[str, bytes]:
    return {plan.name: draw_photo(plan) for plan in plans}


def test_another_process_writes_the_same_files(drawn: dict[str, bytes], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.drawn_products", "--out", str(tmp_path / "new"), "--photos", "16"]
    # Another hash seed: an order taken from a set or from hash() would show.
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    root = Path(__file__).resolve().parents[3]
    subprocess.run([*command, "--seed", str(SEED)], check=True, env=environment, cwd=root)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == drawn


def test_a_photo_does_not_depend_on_what_was_drawn_before(plans: list[PhotoPlan], drawn: dict[str, bytes]) -> None:
    for plan in plans[4::-2]:
        assert draw_photo(plan) == drawn[plan.name]


def test_another_seed_draws_other_photos(drawn: dict[str, bytes]) -> None:
    others = {draw_photo(plan) for plan in plan_photos(SEED + 1, 16)[:4]}
    assert others.isdisjoint(drawn.values())


def test_equal_bytes_are_exact_copies_and_no_others(plans: list[PhotoPlan], drawn: dict[str, bytes]) -> None:
    copies = [plan for plan in plans if plan.copy_of]
    assert copies and all(drawn[plan.name] == drawn[plan.copy_of or ""] for plan in copies)
    assert len(set(drawn.values())) == len(drawn) - len(copies)


def test_a_forwarded_photo_is_smaller_and_of_the_same_shape(drawn: dict[str, bytes]) -> None:
    (name,) = (name for name in drawn if name.startswith("forwarded-"))
    with Image.open(io.BytesIO(drawn[name])) as small, Image.open(io.BytesIO(drawn[name[10:]])) as large:
        assert small.width < 0.8 * large.width
        assert small.width / small.height == pytest.approx(large.width / large.height, rel=0.01)


def test_good_photos_open_within_the_promised_sizes(plans: list[PhotoPlan], drawn: dict[str, bytes]) -> None:
    for plan in plans:
        if plan.defect is None and not plan.is_forwarded:
            with Image.open(io.BytesIO(drawn[plan.name])) as picture:
                picture.load()
                assert picture.format == plan.file_format and 256 <= max(picture.size) <= 1000
                assert len(drawn[plan.name]) <= MOST_BYTES


@pytest.mark.parametrize("photos", [16, 50, 200])
def test_a_set_has_as_many_files_as_asked_for_with_names_of_their_own(photos: int) -> None:
    plans = plan_photos(SEED, photos)
    assert len({plan.name for plan in plans}) == len(plans) == photos
    assert sum(plan.is_forwarded for plan in plans) == 1 and any(plan.copy_of for plan in plans)


def test_a_set_of_50_has_every_defect_format_direction_and_some_rotated_files() -> None:
    plans = plan_photos(SEED, 50)
    assert {plan.defect for plan in plans} == {None, *DEFECTS}
    good = [plan for plan in plans if plan.defect is None]
    assert {plan.file_format for plan in good} == {"JPEG", "PNG", "WEBP"}
    assert len({plan.orientation for plan in good}) >= 3
    assert {plan.size_px[0] > plan.size_px[1] for plan in good} == {True, False}


def test_bytes_do_not_depend_on_the_name(plans: list[PhotoPlan], drawn: dict[str, bytes]) -> None:
    data = draw_photo(replace(plans[0], name="another.jpg"))
    assert hashlib.sha256(data).digest() == hashlib.sha256(drawn[plans[0].name]).digest()


def test_too_few_photos_and_a_negative_seed_are_refused() -> None:
    with pytest.raises(ValueError, match="16 or more photos, not 15"):
        plan_photos(1, 15)
    with pytest.raises(ValueError, match="seed is 0 or more, not -3"):
        plan_photos(-3, 16)
