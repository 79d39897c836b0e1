"""One day: photos arrive, the day is run again, photos arrive late, one is overwritten, a model changes, a column is added."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import dagster as dg
import polars as pl
import pytest

from shelf_assets.days import today_utc
from shelf_assets.defs.running import RunFailed
from shelf_assets.lake.schemas import Column
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS
from shelf_assets.registry import table_stages, tables
from shelf_assets_tests.stories.fakes import ColourPredictor
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.support import DAY, NEXT_DAY, PREDICTIONS, WORKING, Platform, assert_same


def test_every_object_has_a_row_and_every_tensor_a_prediction(shop: Platform) -> None:
    files = {**photos(range(3)), "again": photo(0), "cut short": truncated(), "notes.txt": b"milk, eggs"}
    keys = shop.land(DAY, files)
    (run,) = shop.run(DAY)

    objects = shop.rows("raw_images", DAY)
    assert sorted(objects["key"]) == sorted(keys)
    assert shop.statuses(DAY) == {"accepted": 3, "duplicate": 1, "rejected": 2}
    assert set(objects.filter(status="rejected")["reason"]) == {"truncated", "not_an_image"}

    accepted = set(objects.filter(status="accepted")["image_id"])
    assert sorted(shop.tensors(DAY)["sha256"]) == sorted(objects.filter(status="accepted")["sha256"])
    for table in PREDICTIONS:
        assert sorted(shop.rows(table, DAY)["image_id"]) == sorted(accepted), table
    assert shop.work(run) == {"raw_images": 6} | dict.fromkeys(PREDICTIONS, 3)


def test_every_prediction_belongs_to_its_photo(shop: Platform) -> None:
    colours = ["blue", "red", "green", "red", "blue"]
    shop.land(DAY, {f"{number} {colour}": photo(number, colour=colour) for number, colour in enumerate(colours)})
    shop.run(DAY)

    by_id = dict(shop.rows("classifications", DAY).select("image_id", "label").iter_rows())
    objects = shop.rows("raw_images", DAY).sort("received_at")
    assert [by_id[image_id] for image_id in objects["image_id"]] == colours


def test_materialization_reports_existing_rows(shop: Platform) -> None:
    shop.land(DAY, photos(range(3)))
    shop.run(DAY)

    for table in table_stages():
        metadata = shop.metadata(table)
        assert metadata["dagster/partition_row_count"] == 3, table
        assert metadata["table_version"] == shop.versions()[table], table
        assert metadata["rows_new"] == 3, table
    assert shop.metadata("image_tensors")["made_before"] == 3
    assert shop.metadata("classifications")["model_digest"] == shop.rows("classifications")["model_digest"][0]


def test_second_run_infers_and_writes_nothing(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(DAY, {**photos(range(3)), "cut short": truncated()})
    shop.run(DAY)
    versions, held = shop.versions(), shop.snapshot(DAY)

    def refuse(*_: object) -> None:
        raise AssertionError("the second run must not infer")

    monkeypatch.setattr(ColourPredictor, "columns_of", refuse)
    monkeypatch.setattr(ColourPredictor, "device", refuse)
    (again,) = shop.run(DAY)

    assert shop.versions() == versions
    assert_same(shop.snapshot(DAY), held)
    assert shop.work(again) == {}
    assert shop.metadata("classifications")["inferred_now"] == 0
    assert shop.metadata("classifications")["committed"] is False


def test_late_photo_costs_one_photo(shop: Platform) -> None:
    shop.land(DAY, photos(range(3)))
    shop.land(NEXT_DAY, photos(range(10, 12)))
    shop.run(DAY, NEXT_DAY)
    next_day = shop.snapshot(NEXT_DAY)

    shop.land(DAY, photos([7]))
    (run,) = shop.run(DAY)

    assert shop.work(run) == dict.fromkeys(WORKING, 1)
    assert shop.statuses(DAY) == {"accepted": 4}
    assert shop.rows("classifications", DAY).height == 4
    for table, frame in shop.snapshot(NEXT_DAY).items():
        if "day" in frame.columns:
            before = next_day[table].filter(day=NEXT_DAY)
            assert frame.filter(day=NEXT_DAY).equals(before), table


def test_overwritten_object_gets_new_predictions(shop: Platform) -> None:
    key, *_ = shop.land(DAY, {"front": photo(1, colour="red"), "back": photo(2, colour="red")})
    shop.run(DAY)
    old = shop.rows("raw_images").row(by_predicate=pl.col("key") == key, named=True)

    shop.overwrite(DAY, key, photo(3, colour="blue"))
    (run,) = shop.run(DAY)

    new = shop.rows("raw_images").row(by_predicate=pl.col("key") == key, named=True)
    assert new["sha256"] != old["sha256"]
    assert new["image_id"] == old["image_id"]
    assert shop.work(run) == dict.fromkeys(WORKING, 1)
    for table in PREDICTIONS:
        rows = shop.rows(table).filter(image_id=new["image_id"])
        assert rows["sha256"].to_list() == [new["sha256"]], table
    assert shop.rows("classifications").filter(image_id=new["image_id"])["label"].to_list() == ["blue"]


def test_day_with_a_promoted_duplicate_is_reported(shop: Platform) -> None:
    """The promoted photo has no predictions, but no object of its day has changed. So this run must report the day."""
    (first,) = shop.land(DAY, {"front": photo(1)})
    shop.land(NEXT_DAY, {"copy": photo(1)})
    shop.run(DAY, NEXT_DAY)
    assert shop.statuses(NEXT_DAY) == {"duplicate": 1}
    newest = shop.instance.get_latest_materialization_event(dg.AssetKey("raw_images"))

    shop.overwrite(DAY, first, photo(2))
    shop.run(DAY)

    assert shop.statuses(NEXT_DAY) == {"accepted": 1}
    told = shop.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("raw_images"), asset_partitions=[NEXT_DAY.isoformat()]), limit=1
    ).records[0]
    assert newest is not None and told.timestamp > newest.timestamp
    (run,) = shop.run(NEXT_DAY)
    assert shop.work(run) == dict.fromkeys(PREDICTIONS, 1)


def test_new_model_keeps_rows_of_the_old_model(shop: Platform) -> None:
    shop.land(DAY, photos(range(3)))
    shop.run(DAY)
    old = shop.snapshot(DAY)["classifications"]

    (run,) = shop.with_models(2).run(DAY)

    assert shop.work(run) == {"classifications": 3, "clip_embeddings": 3}
    rows = shop.snapshot(DAY)["classifications"]
    assert rows.height == 6
    assert rows["model_id"].n_unique() == 2
    assert rows.join(old, on=old.columns, how="semi", nulls_equal=True).sort("image_id").equals(old.sort("image_id"))


def test_late_photo_after_a_model_rollback_is_inferred_once(shop: Platform) -> None:
    shop.land(DAY, photos(range(3)))
    shop.run(DAY)
    shop.with_models(2).run(DAY)
    shop.land(DAY, photos([9]))

    (run,) = shop.run(DAY)

    assert shop.work(run) == dict.fromkeys(WORKING, 1)
    assert shop.rows("classifications").group_by("model_id").len().sort("len")["len"].to_list() == [3, 4]


def test_new_declared_column_is_added_to_an_existing_lake(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(DAY, photos(range(2)))
    shop.run(DAY)

    remark = Column(pl.String, "What a reviewer said.", nullable=True)
    grown = dataclasses.replace(CLASSIFICATIONS, columns={**CLASSIFICATIONS.columns, "remark": remark})
    monkeypatch.setitem(tables(), "classifications", grown)
    plain = ColourPredictor.columns_of
    monkeypatch.setattr(
        ColourPredictor,
        "columns_of",
        lambda self, pixels: plain(self, pixels).with_columns(
            **({"remark": pl.lit("seen")} if self.asset == "classifications" else {})
        ),
    )
    shop.land(DAY, photos([5]))
    shop.run(DAY)

    remarks = shop.rows("classifications", DAY)["remark"].to_list()
    assert sorted(remarks, key=str) == [None, None, "seen"]


def test_day_without_photos_succeeds_without_rows(shop: Platform) -> None:
    (run,) = shop.run(DAY)

    assert shop.metadata("raw_images")["dagster/partition_row_count"] == 0
    assert shop.metadata("raw_images")["landed"] == 0
    assert shop.work(run) == {}
    assert all(shop.rows(table).is_empty() for table in tables())


def test_future_day_is_refused(shop: Platform) -> None:
    tomorrow = today_utc() + timedelta(days=1)
    with pytest.raises(Exception, match=str(tomorrow)):
        shop.run(tomorrow)


def test_same_bytes_are_accepted_once(shop: Platform) -> None:
    shop.land(DAY, {"one": photo(1), "copy": photo(1), "two": photo(2)})
    shop.land(NEXT_DAY, {"copy of yesterday": photo(2), "three": photo(3)})
    shop.run(DAY, NEXT_DAY)

    objects = shop.rows("raw_images")
    accepted = objects.filter(status="accepted")
    assert accepted["sha256"].n_unique() == accepted.height == 3
    assert shop.statuses(DAY) == {"accepted": 2, "duplicate": 1}
    assert shop.statuses(NEXT_DAY) == {"accepted": 1, "duplicate": 1}
    original_of = dict(accepted.select("sha256", "image_id").iter_rows())
    for copy in objects.filter(status="duplicate").iter_rows(named=True):
        assert copy["duplicate_of"] == original_of[copy["sha256"]]
    assert shop.rows("classifications").height == 3


def test_lake_url_of_a_file_is_named(shop: Platform) -> None:
    folder = shop.settings.lake.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("no folder")
    with pytest.raises(RunFailed, match=str(folder)):
        shop.run(DAY)
