"""`image_quality`: its numbers equal an independent computation, change only with the version, and are checked by day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from shelf_assets.lake.lake import Lake
from shelf_assets.pipeline.stage import Answer, DayView
from shelf_assets.pipeline.stages.image_quality import IMAGE_QUALITY, STAGE, Method, QualityPredictor, measured
from shelf_assets_tests.conftest import LakeUnderTest

DAY = date(2026, 3, 1)
NAMES = [
    "laplacian_variance",
    "is_blurred",
    "brightness_mean",
    "contrast_std",
    "clipped_dark_share",
    "clipped_bright_share",
]
CHECKS = {check.name: check for check in STAGE.checks}


def noise(seed: int, size_px: int = 224) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, size_px, size_px), np.uint8)


def row(number: int, day: date = DAY, **changed: object) -> dict[str, object]:
    usual = dict(zip(NAMES, (400.0, False, 150.0, 40.0, 0.0, 0.0), strict=True))
    identity = {
        "day": day,
        "image_id": f"photo-{number}",
        "sha256": f"sha-{number}",
        "model_id": Method().model_id,
        "model_digest": Method().model_digest,
        "preprocess_digest": "p",
        "inferred_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    }
    return identity | usual | changed


def ask(lake: Lake, check: str, rows: Iterable[dict[str, object]]) -> Answer:
    lake.table("image_quality").commit(pl.DataFrame(list(rows), schema=IMAGE_QUALITY.schema))
    return CHECKS[check].ask(DayView(lake, DAY))


@given(st.integers(0, 2**32), st.integers(3, 40))
def test_numbers_are_those_of_a_plain_computation(seed: int, size_px: int) -> None:
    pixels = noise(seed, size_px)
    red, green, blue = pixels.astype(np.int64)
    luminance = (77 * red + 150 * green + 29 * blue) // 256
    laplacian = (
        4 * luminance[1:-1, 1:-1]
        - luminance[:-2, 1:-1]
        - luminance[2:, 1:-1]
        - luminance[1:-1, :-2]
        - luminance[1:-1, 2:]
    )
    found = dict(zip(NAMES, measured(pixels), strict=True))
    assert found["laplacian_variance"] == pytest.approx(laplacian.var(), rel=1e-4, abs=1e-3)
    assert found["is_blurred"] == (found["laplacian_variance"] < 60)
    assert found["brightness_mean"] == pytest.approx(luminance.mean(), rel=1e-5)
    assert found["contrast_std"] == pytest.approx(luminance.std(), rel=1e-4, abs=1e-4)
    assert found["clipped_dark_share"] == (luminance <= 2).mean()
    assert found["clipped_bright_share"] == (luminance >= 253).mean()


def test_numbers_change_with_the_version_only() -> None:
    """If this fails, increment VERSION, so that new numbers have a new digest."""
    assert Method().model_id == "image-quality-1"
    assert Method().model_digest.startswith("bfe6a63280db")
    pattern = (np.arange(3 * 64 * 64).reshape(3, 64, 64) ** 2 // 7 % 256).astype(np.uint8)
    assert measured(pattern) == pytest.approx((42531.3548, False, 117.5232, 48.7833, 0.0, 0.0), rel=1e-5)


def test_blurred_picture_is_distinguished_from_a_sharp_one() -> None:
    ramp = np.indices((224, 224)).sum(axis=0) // 16 % 2 * 180 + 40
    sharp = Image.fromarray(np.stack([ramp] * 3, axis=2).astype(np.uint8))
    blurred = sharp.filter(ImageFilter.GaussianBlur(4))
    told = [measured(np.asarray(picture).transpose(2, 0, 1))[1] for picture in (sharp, blurred)]
    assert told == [False, True]


@pytest.mark.parametrize(("level", "shares"), [(0, (1.0, 0.0)), (128, (0.0, 0.0)), (255, (0.0, 1.0))])
def test_a_flat_picture_is_blurred_and_clipped_at_the_ends_only(level: int, shares: tuple[float, float]) -> None:
    flat = np.full((3, 224, 224), level, np.uint8)
    assert measured(flat) == (0.0, True, float(level), 0.0, *shares)


def test_photos_of_a_batch_are_measured_apart() -> None:
    photos = np.stack([noise(seed) for seed in range(3)])
    rows = QualityPredictor("p").submit(photos)()
    assert rows.columns == NAMES
    assert rows.schema == pl.Schema({name: IMAGE_QUALITY.schema[name] for name in NAMES})
    for position, photo in enumerate(photos):
        assert rows.row(position) == pytest.approx(measured(photo), rel=1e-6)


def test_rows_of_the_method_pass_both_checks(disk_lake: LakeUnderTest) -> None:
    rows = QualityPredictor("p").submit(np.stack([noise(seed) for seed in range(3)]))()
    given = [row(number) | measures for number, measures in enumerate(rows.to_dicts())]
    for check in CHECKS:
        assert ask(disk_lake.lake, check, given).passed, check


@pytest.mark.parametrize(
    "changed",
    [
        {"laplacian_variance": float("nan")},
        {"contrast_std": float("inf")},
        {"brightness_mean": 255.5},
        {"clipped_dark_share": -0.1},
    ],
)
def test_an_impossible_number_fails_the_check_by_the_photos_name(
    disk_lake: LakeUnderTest, changed: dict[str, object]
) -> None:
    answer = ask(disk_lake.lake, "quality_is_plausible", [row(1), row(2, **changed)])
    assert not answer.passed
    assert answer.description == "1 rows outside the possible range: photo-2"


@pytest.mark.parametrize(
    ("days_before", "changed", "passed"),
    [
        (7, {}, True),
        (7, {"brightness_mean": 195.0}, False),
        (7, {"brightness_mean": 100.0}, False),
        (7, {"is_blurred": True}, False),
        (6, {"is_blurred": True}, True),
    ],
)
def test_a_day_unlike_the_month_before_warns_once_a_week_is_known(
    disk_lake: LakeUnderTest, days_before: int, changed: dict[str, object], passed: bool
) -> None:
    assert not CHECKS["quality_is_like_the_days_before"].is_blocking
    before = [row(number, DAY - timedelta(days=ago + 1)) for ago in range(days_before) for number in range(20)]
    today = [row(number, **changed) for number in range(20)]
    assert ask(disk_lake.lake, "quality_is_like_the_days_before", before + today).passed is passed
