"""From the buttons of the UI to the tables: a day and a backfill launched by GraphQL and run by the daemon."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest

from shelf_assets_tests.ui.conftest import PHOTOS_PER_DAY, Materialized
from shelf_assets_tests.ui.servers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_day_goes_through_the_whole_graph(materialized: Materialized) -> None:
    day, lake = materialized.whole_day, materialized.lake
    photos = lake.table("raw_images").scan(day, day).collect()
    accepted = photos.filter(status="accepted")
    assert photos.height == PHOTOS_PER_DAY and accepted.height > 0
    for name in ("classifications", "clip_embeddings"):
        predicted = lake.table(name).scan(day, day).collect()
        assert predicted["image_id"].sort().to_list() == accepted["image_id"].sort().to_list(), name


def test_the_marts_say_what_the_lake_holds(materialized: Materialized) -> None:
    day = materialized.whole_day
    accepted = materialized.lake.table("raw_images").scan(day, day).filter(pl.col("status") == "accepted").collect()
    with duckdb.connect(str(materialized.marts), read_only=True) as marts:
        rows = marts.execute("select accepted from daily_intake_quality where day = ?", [day]).fetchall()
    assert rows == [(accepted.height,)]


def test_a_backfill_makes_every_day_of_its_range(materialized: Materialized) -> None:
    first, last = materialized.backfilled[0], materialized.backfilled[-1]
    photos = materialized.lake.table("raw_images").scan(first, last).collect()
    assert dict(photos.group_by("day").len().iter_rows()) == dict.fromkeys(materialized.backfilled, PHOTOS_PER_DAY)
    stages = materialized.lake.table("stage_runs").scan(first, last).filter(pl.col("stage") == "raw_images").collect()
    assert sorted(stages["day"]) == materialized.backfilled
    assert stages["run_id"].n_unique() == len(materialized.backfilled), "a day is the unit that fits one pod"


def test_the_catalogue_knows_which_days_exist(materialized: Materialized) -> None:
    first, last = materialized.backfilled[0].isoformat(), materialized.whole_day.isoformat()
    assert materialized.ui.materialized("raw_images") == [(first, last)]
    assert materialized.ui.materialized("classifications") == [(last, last)]


def test_the_daemon_does_not_see_what_landed(materialized: Materialized) -> None:
    """The arrivals sensor runs from the first start on; no run has reported that day, since nobody started one."""
    day = materialized.nobodys.isoformat()
    wait_until(
        f"the report of {day}",
        lambda: (day, day) in materialized.ui.materialized("landing"),
        120,
        lambda: str(materialized.ui.materialized("landing")),
    )
