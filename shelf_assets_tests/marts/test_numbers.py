"""The numbers of the marts for the small lake: compared with a second computation in polars, and after re-runs."""

from __future__ import annotations

import math
import subprocess
import sys

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shelf_assets_tests.marts.conftest import Marts, Story
from shelf_assets_tests.marts.dbt_runner import LOW_CONFIDENCE, PRICES, succeeded
from shelf_assets_tests.marts.small_lake import EMPTY_DAY, FULL_DAY, LAST_DAY, SmallLake, prediction

pytestmark = [pytest.mark.slow]

VERSION = ["day", "model_id", "model_digest", "preprocess_digest"]


def on(day: object, marts: Marts) -> Marts:
    return {name: mart.filter(pl.col("day") == day) for name, mart in marts.items()}


def assert_same(left: Marts, right: Marts) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert_frame_equal(left[name], right[name])


def assert_agrees(mart: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(
        mart.select(expected.columns),
        expected,
        check_row_order=False,
        check_dtypes=False,
        abs_tol=1.01e-6,
        rel_tol=0,
    )


def predictions_of(story: Story) -> pl.DataFrame:
    """Predictions of accepted photos, made from their current bytes."""
    accepted = story.lake_at_first["raw_images"].filter(status="accepted")
    photos = accepted.select("day", "image_id", "sha256", "near_duplicate_group", "uploader")
    rows = story.lake_at_first["classifications"].join(photos, on=["day", "image_id", "sha256"])
    return rows.with_columns(pl.col("confidence").cast(pl.Float64).round(6))


def test_intake_counts_every_photo_once_and_an_empty_day_as_zero(story: Story) -> None:
    photos = story.lake_at_first["raw_images"]
    size, status = pl.col("size_bytes"), pl.col("status")
    counted = photos.group_by("day").agg(
        photos_in=pl.len(),
        accepted=(status == "accepted").sum(),
        duplicates=(status == "duplicate").sum(),
        rejected=(status == "rejected").sum(),
        near_duplicates=pl.col("image_id").is_in(["p2", "p3", "copy2"]).sum(),
        unique_uploaders=pl.col("uploader").drop_nulls().n_unique(),
        acceptance_rate=(status == "accepted").mean(),
        photos_in_bytes=size.sum(),
        accepted_bytes=size.filter(status == "accepted").sum(),
    )
    empty = {"day": [EMPTY_DAY], "acceptance_rate": [None]} | {
        name: [0] for name in counted.columns if name not in ("day", "acceptance_rate")
    }
    expected = pl.concat([counted, pl.DataFrame(empty).select(counted.columns)], how="vertical_relaxed")
    assert expected["photos_in"].sum() == 12
    assert expected["unique_uploaders"].sum() == 5
    assert_agrees(story.first["daily_intake_quality"], expected)


def test_quality_counts_each_accepted_photo_by_its_newest_measure(story: Story) -> None:
    # Of p0 to p3 two are blurred, one of them by the newer method alone; p4 and p5 were not measured.
    columns = ["day", "measured", "blurred_share", "median_brightness"]
    assert story.first["daily_intake_quality"].select(columns).sort("day").rows() == [
        (FULL_DAY, 4, 0.5, 130.25),
        (EMPTY_DAY, 0, None, None),
        (LAST_DAY, 1, 0.0, 90.0),
    ]


def test_every_rejection_has_its_reason_counted(story: Story) -> None:
    rows = story.first["daily_rejections"].select("day", "reason", "photos", "photos_bytes").rows()
    assert rows == [(FULL_DAY, "empty", 1, 0), (FULL_DAY, "truncated", 2, 155)]


def test_popularity_counts_only_the_newest_prediction_of_accepted_photos(story: Story) -> None:
    newest = (
        predictions_of(story)
        .sort("inferred_at")
        .unique(["day", "image_id", "model_id"], keep="last", maintain_order=True)
    )
    expected = (
        newest.group_by("day", "model_id", "label")
        .agg(
            images=pl.len(),
            distinct_pictures=pl.coalesce("near_duplicate_group", "image_id").n_unique(),
            uploaders=pl.col("uploader").drop_nulls().n_unique(),
            mean_confidence=pl.col("confidence").mean(),
        )
        .with_columns(share_of_images=pl.col("images") / pl.col("images").sum().over("day", "model_id"))
    )
    assert "ghost" not in expected["label"]
    mart = story.first["daily_label_popularity"]
    assert_agrees(mart, expected)


def test_repeated_uploads_of_one_uploader_do_not_raise_a_label(story: Story) -> None:
    mart = story.first["daily_label_popularity"].filter(day=FULL_DAY, model_id="resnet").sort("label_rank")
    # The newer digest changes p0 from jar to bottle; p0, p2 and p3 are one picture of one uploader. Both pictures of can count,
    # although p5 has no uploader.
    assert mart.select("label", "images", "distinct_pictures", "uploaders").rows() == [
        ("can", 2, 2, 1),
        ("bottle", 3, 1, 1),
        ("jar", 1, 1, 1),
    ]


def test_quality_is_separated_by_model_version(story: Story) -> None:
    confidence = pl.col("confidence")
    expected = (
        predictions_of(story)
        .group_by(VERSION)
        .agg(
            images=pl.len(),
            distinct_labels=pl.col("label").n_unique(),
            mean_confidence=confidence.mean(),
            p10_confidence=confidence.quantile(0.1, "linear"),
            median_confidence=confidence.median(),
            p90_confidence=confidence.quantile(0.9, "linear"),
            low_confidence_share=(confidence < LOW_CONFIDENCE).mean(),
        )
    )
    assert expected.height == 5
    assert_agrees(story.first["model_quality_daily"], expected)


def test_a_confidence_on_the_threshold_is_not_low(story: Story) -> None:
    # Of six confidences 0.34 and 0.0 are below; 0.35 is stored as a Float32, which is 0.3499999 as a double.
    [share] = story.first["model_quality_daily"].filter(
        (pl.col("day") == FULL_DAY) & (pl.col("model_digest") == "d1") & (pl.col("preprocess_digest") == "p1")
    )["low_confidence_share"]
    assert share == pytest.approx(2 / 6, abs=1e-6)


def test_histogram_puts_every_confidence_into_one_of_ten_bins(story: Story) -> None:
    mart = story.first["model_confidence_histogram_daily"]
    assert mart.group_by(VERSION).len()["len"].unique().to_list() == [10]
    expected = (
        predictions_of(story)
        .with_columns(bin=(pl.col("confidence") * 10).floor().clip(0, 9).cast(pl.Int64))
        .group_by(*VERSION, "bin")
        .agg(images=pl.len())
    )
    assert_agrees(mart.filter(pl.col("images") > 0), expected)
    assert mart.filter(pl.col("bin") == 7).select("confidence_from", "confidence_to").unique().rows() == [(0.7, 0.8)]


def test_cost_is_time_times_the_price_of_the_stage(story: Story) -> None:
    seconds, images, price = pl.col("wall_seconds"), pl.col("images"), pl.col("eur_per_hour")
    expected = (
        story.lake_at_first["stage_runs"]
        .group_by("day", "stage", pl.col("model_id").fill_null("none"))
        .agg(
            runs=pl.col("run_id").n_unique(),
            images=images.sum(),
            bytes_read=pl.col("bytes_read").sum(),
            wall_seconds=seconds.sum(),
            cpu_seconds=pl.col("cpu_seconds").sum(),
            peak_memory_bytes=pl.col("peak_memory_bytes").max(),
        )
        .with_columns(eur_per_hour=pl.col("stage").replace_strict(PRICES))
        .with_columns(
            cost_eur=seconds / 3600 * price,
            eur_per_1000_images=pl.when(images > 0).then(seconds / 3600 * price * 1000 / images),
        )
    )
    mart = story.first["pipeline_cost_daily"]
    assert_agrees(mart, expected)
    speed = mart.filter((pl.col("day") == FULL_DAY) & (pl.col("stage") == "classifications"))["images_per_second"]
    assert speed.to_list() == [2.0]


def test_no_number_is_wider_than_a_chart_tool_reads(story: Story) -> None:
    for name, mart in story.first.items():
        odd = {c: t for c, t in mart.schema.items() if t not in (pl.Date, pl.String, pl.Int64, pl.Float64)}
        assert not odd, f"{name}: {odd}"
        for column in mart.select(pl.col(pl.Float64)).iter_columns():
            assert all(math.isfinite(value) for value in column.drop_nulls()), f"{name}.{column.name}"


def test_a_late_photo_changes_its_day_and_no_other(story: Story) -> None:
    for day in (EMPTY_DAY, LAST_DAY):
        assert_same(on(day, story.first), on(day, story.after_late_photo))
    before, after = on(FULL_DAY, story.first), on(FULL_DAY, story.after_late_photo)
    assert after["daily_intake_quality"]["photos_in"].item() == before["daily_intake_quality"]["photos_in"].item() + 1
    labels = after["daily_label_popularity"].filter(model_id="resnet").sort("label_rank")
    assert labels.select("label", "images").rows() == [("can", 2), ("bottle", 3), ("tin", 1), ("jar", 1)]
    cost = after["pipeline_cost_daily"].filter(stage="classifications")
    assert cost.select("runs", "images", "wall_seconds").rows() == [(3, 9, 4.5)]


def test_running_a_day_again_changes_nothing(story: Story) -> None:
    for day in (FULL_DAY, EMPTY_DAY):
        assert_same(on(day, story.after_late_photo), on(day, story.after_repeat_and_emptied_day))


def test_a_day_that_became_empty_loses_its_rows(story: Story) -> None:
    emptied = on(LAST_DAY, story.after_repeat_and_emptied_day)
    assert emptied.pop("daily_intake_quality")["photos_in"].to_list() == [0]
    assert {name: mart.height for name, mart in emptied.items()} == dict.fromkeys(emptied, 0)


def test_marts_file_holds_the_mart_tables_only(story: Story) -> None:
    # A view over delta_scan would fail for readers without the extension, such as marts().
    assert set(story.first) == {
        "daily_intake_quality",
        "daily_label_popularity",
        "daily_rejections",
        "model_confidence_histogram_daily",
        "model_quality_daily",
        "pipeline_cost_daily",
    }


def test_marts_file_without_a_new_column_is_upgraded(story: Story) -> None:
    with duckdb.connect(story.runner.marts_path) as marts:
        marts.execute("ALTER TABLE daily_label_popularity DROP COLUMN distinct_pictures")
    succeeded(story.runner.build(EMPTY_DAY, EMPTY_DAY))
    grown = story.runner.marts()["daily_label_popularity"]
    assert grown.height == story.after_repeat_and_emptied_day["daily_label_popularity"].height
    assert grown["distinct_pictures"].null_count() == grown.height, (
        "the new column must be null until a day is run again"
    )
    succeeded(story.runner.build(FULL_DAY, FULL_DAY))
    again = story.runner.marts()["daily_label_popularity"].select(
        pl.all().exclude("distinct_pictures"), "distinct_pictures"
    )
    before = story.after_repeat_and_emptied_day["daily_label_popularity"].select(again.columns)
    assert_frame_equal(again, before, check_row_order=False)


def test_run_succeeds_while_the_marts_file_is_read(story: Story) -> None:
    look = "import duckdb, sys, time; held = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); time.sleep(9)"
    command = [sys.executable, "-c", look, str(story.runner.marts_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        with pytest.raises(duckdb.IOException, match="lock"):
            duckdb.connect(story.runner.marts_path)
        succeeded(story.runner.build(EMPTY_DAY, EMPTY_DAY))


def test_a_photo_predicted_twice_fails_the_run(story: Story) -> None:
    lake = SmallLake(story.runner.lake_url)
    lake.append("classifications", [prediction(FULL_DAY, "p2", "bottle", 0.9)])
    process = story.runner.build(FULL_DAY, FULL_DAY)
    assert process.returncode == 1
    assert "FAIL 1 predictions_are_counted_once" in process.stdout
