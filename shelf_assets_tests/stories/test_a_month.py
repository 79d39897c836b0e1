"""The embedded models and the marts: a backfill of several days in one process, and single days up to the marts."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import polars as pl
import pytest

from shelf_assets.defs.running import RunFailed, run_days, select_assets
from shelf_assets_tests.stories.fakes import NoTracking
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.support import DAY, NEXT_DAY, PREDICTIONS, Platform, undecodable

# Six days across the end of a month. More days would take longer and cover no further case.
DAYS = [DAY + timedelta(days=offset) for offset in range(-3, 3)]


@pytest.fixture
def real_shop(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform with the packaged models instead of fakes, in float32: two flat pictures give bf16 no reliable parity."""
    settings = shop.settings.replace(models__set="embedded", models__precision="fp32")
    return Platform(settings, {"tracking": NoTracking("")}, shop.instance)


def mart(shop: Platform, name: str) -> pl.DataFrame:
    with duckdb.connect(shop.settings.bi.marts_path, read_only=True) as connection:
        return connection.execute(f"SELECT * FROM {name} ORDER BY ALL").pl()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_process_backfills_a_month(real_shop: Platform) -> None:
    for number, day in enumerate(DAYS):
        real_shop.land(day, photos(range(3 * number, 3 * number + 2 + number % 2)))
    keys = select_assets(real_shop.defs, "key:raw_images or key:image_tensors or key:classifications or group:marts")

    runs = run_days(real_shop.defs, real_shop.instance, DAYS, keys)

    # One run per day, and one run for the marts of all days.
    assert [run.days for run in runs] == [*((day,) for day in DAYS), tuple(DAYS)]
    predicted = real_shop.rows("classifications").group_by("day").len().sort("day")
    assert predicted["len"].to_list() == [2 + number % 2 for number in range(len(DAYS))]
    intake = mart(real_shop, "daily_intake_quality")
    assert intake["day"].to_list() == DAYS
    assert real_shop.rows("stage_runs").height == 2 * len(DAYS)


@pytest.mark.slow
def test_first_day_of_an_empty_lake_succeeds(real_shop: Platform) -> None:
    """A run without any photo or table must still build the marts, which read all tables."""
    run_days(real_shop.defs, real_shop.instance, [DAY], select_assets(real_shop.defs, None))
    (intake,) = mart(real_shop, "daily_intake_quality").iter_rows(named=True)
    assert (intake["day"], intake["photos_in"]) == (DAY, 0)
    assert mart(real_shop, "pipeline_cost_daily").is_empty()


@pytest.mark.slow
def test_marts_of_a_lake_without_the_table_of_a_stage_are_built(real_shop: Platform) -> None:
    """Like a lake that was written by an earlier version, which did not have the stage."""
    real_shop.land(DAY, photos(range(2)))
    run_days(real_shop.defs, real_shop.instance, [DAY], select_assets(real_shop.defs, "key:raw_images"))
    run_days(real_shop.defs, real_shop.instance, [DAY], select_assets(real_shop.defs, "group:marts"))
    assert mart(real_shop, "daily_intake_quality")["accepted"].to_list() == [2]
    assert all(real_shop.rows(table).is_empty() for table in PREDICTIONS)


@pytest.mark.slow
def test_failed_day_is_not_published_to_the_marts(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, day in enumerate((DAY, NEXT_DAY)):
        shop.land(day, photos([number]))
    undecodable(monkeypatch, photo(1))
    with pytest.raises(RunFailed, match="2 of 3 runs succeeded"):
        run_days(shop.defs, shop.instance, [DAY, NEXT_DAY], select_assets(shop.defs, None))
    assert mart(shop, "daily_intake_quality")["day"].to_list() == [DAY]


@pytest.mark.slow
def test_day_of_real_models_reaches_the_marts(real_shop: Platform) -> None:
    real_shop.land(DAY, {**photos(range(4)), "again": photo(0), "cut short": truncated()})
    everything = select_assets(real_shop.defs, None)
    run_days(real_shop.defs, real_shop.instance, [DAY], everything)

    for table in PREDICTIONS:
        assert real_shop.rows(table).height == 4, table
    lengths = real_shop.rows("clip_embeddings")["embedding"].list.eval(pl.element().pow(2).sum().sqrt()).list.first()
    assert (lengths - 1).abs().max() < 1e-3
    (intake,) = mart(real_shop, "daily_intake_quality").filter(day=DAY).iter_rows(named=True)
    counted = ("photos_in", "accepted", "duplicates", "rejected")
    assert [intake[column] for column in counted] == [6, 4, 1, 1]
    marts = {
        name: mart(real_shop, name) for name in ("daily_rejections", "daily_label_popularity", "pipeline_cost_daily")
    }

    versions = real_shop.versions()
    run_days(real_shop.defs, real_shop.instance, [DAY], everything)
    assert real_shop.versions() == versions
    for name, frame in marts.items():
        assert mart(real_shop, name).equals(frame), name

    run_days(real_shop.defs, real_shop.instance, [NEXT_DAY], everything)
    assert mart(real_shop, "daily_intake_quality").filter(day=DAY).height == 1
