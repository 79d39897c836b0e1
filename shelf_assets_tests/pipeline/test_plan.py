"""`shelf plan`: the work by cause, nothing if nothing is due, and measured speeds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from shelf_assets.intake.put_photos import land
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import image_id_of
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.lake.tensor_store import Tensor, TensorFailure
from shelf_assets.observe.meter import Meter
from shelf_assets.pipeline.plan import ASSUMED_BY_MODELS, PlannedStage, measured_speeds, photos_of_work, plan_days
from shelf_assets.pipeline.prices import eur_per_hour
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.settings import load_settings
from shelf_assets.vision.preprocess import Geometry
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.stories.fakes import ColourModels
from shelf_assets_tests.stories.photos import photo
from shelf_assets_tests.stories.support import PREDICTIONS

DAY = date(2026, 3, 1)
SETTINGS = load_settings({})
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def plan(lake: Lake, version: int = 1) -> list[PlannedStage]:
    models = ColourModels.over(lake, SETTINGS, version)
    return plan_days(Tensors(lake, SETTINGS.vision), models, SETTINGS.pipeline, [DAY])


def causes(stages: list[PlannedStage]) -> dict[tuple[str, str], int]:
    return {(each.stage, each.cause): each.images for each in stages}


def landed(lake: Lake, numbers: Iterator[int] | range) -> list[str]:
    return list(land(lake.objects, DAY, [(str(number), photo(number)) for number in numbers]))


def read(lake: Lake) -> pl.DataFrame:
    """Accept every object of the day, as raw_images does; the sha256 is made from the key."""
    listed = lake.listing(DAY)
    rows = listed.with_columns(
        day=pl.lit(DAY),
        image_id=pl.col("key").map_elements(image_id_of, return_dtype=pl.String),
        sha256=pl.col("etag"),
        status=pl.lit("accepted"),
    )
    empty = RAW_IMAGES.empty()
    lake.table("raw_images").commit(pl.concat([empty, rows], how="diagonal"))
    return lake.accepted(DAY)


def make_tensors(lake: Lake, photos: pl.DataFrame, failed: int = 0) -> None:
    import numpy as np

    geometry = Geometry()
    pixels = np.zeros((3, geometry.size_px, geometry.size_px), np.uint8)
    items = [
        TensorFailure(image_id, sha256, "decode_error", "broken")
        if number < failed
        else Tensor(image_id, sha256, pixels)
        for number, (image_id, sha256) in enumerate(photos.select("image_id", "sha256").iter_rows())
    ]
    lake.tensors(DAY, geometry.digest(), geometry.size_px).write(items, 100)


def predict(lake: Lake, photos: pl.DataFrame, version: int = 1) -> None:
    import numpy as np

    pixels = np.zeros((photos.height, 3, 8, 8), np.uint8)
    for predictor in ColourModels.over(lake, SETTINGS, version).predictors(PREDICTIONS):
        table = lake.table(predictor.asset)
        rows = photos.select("image_id", "sha256").hstack(predictor.submit(pixels)())
        identified = rows.with_columns(
            day=pl.lit(DAY),
            model_id=pl.lit(predictor.spec.model_id),
            model_digest=pl.lit(predictor.spec.model_digest),
            preprocess_digest=pl.lit(predictor.preprocess_digest),
            inferred_at=pl.lit(NOON),
        )
        table.commit(identified)


def of_predictions(cause: str, images: int) -> dict[tuple[str, str], int]:
    return {(stage, cause): images for stage in PREDICTIONS}


def test_new_photos_are_planned_for_every_stage(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(3))

    assert causes(plan(disk_lake.lake)) == {
        ("raw_images", "new objects"): 3,
        **of_predictions("new objects (at most)", 3),
    }


def test_finished_day_is_not_planned(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(3))
    photos = read(disk_lake.lake)
    make_tensors(disk_lake.lake, photos)
    predict(disk_lake.lake, photos)

    assert plan(disk_lake.lake) == []


def test_permanently_failed_photo_is_not_planned(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(3))
    photos = read(disk_lake.lake)
    make_tensors(disk_lake.lake, photos, failed=1)
    predict(disk_lake.lake, photos[1:])

    assert plan(disk_lake.lake) == []


def test_ingested_day_is_planned_for_tensors_and_predictions(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(3))
    photos = read(disk_lake.lake)
    make_tensors(disk_lake.lake, photos[:1])

    assert causes(plan(disk_lake.lake)) == {
        ("image_tensors", "accepted, without tensor"): 2,
        **of_predictions("never predicted", 3),
    }


def test_changed_model_is_planned_for_every_photo(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(3))
    photos = read(disk_lake.lake)
    make_tensors(disk_lake.lake, photos)
    predict(disk_lake.lake, photos)

    assert causes(plan(disk_lake.lake, version=2)) == {
        ("classifications", "model or preprocessing changed"): 3,
        ("clip_embeddings", "model or preprocessing changed"): 3,
    }


def test_overwritten_object_is_planned_as_overwritten(disk_lake: LakeUnderTest) -> None:
    first, *_ = landed(disk_lake.lake, range(2))
    photos = read(disk_lake.lake)
    make_tensors(disk_lake.lake, photos)
    predict(disk_lake.lake, photos)
    disk_lake.lake.objects.put(first, photo(77))

    planned = causes(plan(disk_lake.lake))
    assert planned["raw_images", "overwritten, or gone before"] == 1
    assert ("raw_images", "new objects") not in planned


def test_plan_uses_the_measured_speed(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(6))
    runs = [
        {
            "day": DAY,
            "run_id": f"run-{number}",
            "stage": "raw_images",
            "model_id": None,
            "device": "cpu",
            "images": 60,
            "bytes_read": 1,
            "wall_seconds": seconds,
            "cpu_seconds": seconds,
            "peak_memory_bytes": 1,
            "finished_at": NOON,
        }
        for number, seconds in enumerate((1.0, 2.0, 60.0))
    ]
    table = disk_lake.lake.table("stage_runs")
    table.commit(pl.DataFrame(runs, schema=table.spec.schema))

    assert measured_speeds(disk_lake.lake) == {("raw_images", None): 30.0}
    by_stage = {each.stage: each for each in plan(disk_lake.lake)}
    reading, classifying = by_stage["raw_images"], by_stage["classifications"]
    assert (reading.images_per_second, reading.assumed_speed) == (30.0, False)
    assert reading.seconds == pytest.approx(0.2)
    assert reading.eur == pytest.approx(0.2 / 3600 * eur_per_hour({})["raw_images"])
    assert classifying.assumed_speed
    assert classifying.images_per_second == ASSUMED_BY_MODELS["embedded"]


def test_plan_uses_only_the_speed_of_the_same_model(disk_lake: LakeUnderTest) -> None:
    landed(disk_lake.lake, range(3))
    photos = read(disk_lake.lake)
    make_tensors(disk_lake.lake, photos)
    meter = Meter("classifications", model_id="colour-classifier-1", images=300, wall_seconds=1.0)
    disk_lake.lake.table("stage_runs").commit(meter.row(DAY, "run-1"))

    measured, unknown = ({each.stage: each for each in plan(disk_lake.lake, version)} for version in (1, 2))
    assert (measured["classifications"].images_per_second, measured["classifications"].assumed_speed) == (300.0, False)
    assert unknown["classifications"].assumed_speed


def test_run_without_stages_counts_nothing_and_a_large_one_stops_counting(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(disk_lake.lake, range(3))
    listings: list[date] = []
    listing = Lake.listing

    def listed(self: Lake, day: date) -> pl.DataFrame:
        listings.append(day)
        return listing(self, day)

    monkeypatch.setattr(Lake, "listing", listed)
    tensors, models = Tensors(disk_lake.lake, SETTINGS.vision), ColourModels.over(disk_lake.lake, SETTINGS)
    days = [DAY, DAY + timedelta(days=1)]
    assert photos_of_work(tensors, models, days, {"daily_rejections"}, 100) == 0
    assert photos_of_work(tensors, models, days, {"classifications"}, 100) == 0
    assert listings == []
    assert photos_of_work(tensors, models, days, {"raw_images", "classifications"}, 2) == 3
    assert listings == [DAY]
    assert photos_of_work(tensors, models, days, {"raw_images"}, 100) == 3
    assert listings == [DAY, *days]


def test_planning_changes_no_file(disk_lake: LakeUnderTest, tmp_path: Path) -> None:
    landed(disk_lake.lake, range(2))
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    plan(disk_lake.lake)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
