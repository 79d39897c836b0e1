"""The Dagster UI with its daemon: days launched by GraphQL, the graph in a browser, and automatic runs for late photos.

One module, so that `--dist loadfile` gives all tests to one worker and the UI starts once. The order matters: the last
test adds to the days that the others count. SHELF_TEST_KEEP_PICTURES=docs/pictures stores the README's picture.
"""

from __future__ import annotations

import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from PIL import Image

from shelf_assets.defs.partitions import daily
from shelf_assets.intake.put_photos import land
from shelf_assets_tests.stories.photos import photo
from shelf_assets_tests.ui.conftest import PHOTOS_PER_DAY, Materialized
from shelf_assets_tests.ui.servers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KEPT_IN = os.environ.get("SHELF_TEST_KEEP_PICTURES")  # read at import, before fixtures change the environment
SIZE_PX = {"width": 2880, "height": 1440}
GROUPS = ("intake", "vision", "marts")
# Only the sidebar's section about the asset stays open; the others would push the days out of the picture.
FOLDED = ("Metadata plots", "Pool", "Backfill policy", "Automation", "Code Version", "Config", "Required resources")
FOLDED += ("Metadata", "Type", "Underlying Ops")
STORED = {f"sidebar-{section}": "false" for section in FOLDED} | {
    "dagster-nav-collapsed": "true",
    "large-screen-nav-open": "false",
    "defaultZoom": "0.6",
}
CHAIN_SECONDS = 600
INTAKE = "select photos_in from daily_intake_quality where day = ?"
LABELS = "select sum(images) from daily_label_popularity where day = ?"
COST = "select sum(images) from pipeline_cost_daily where day = ? and stage = 'clip_embeddings'"


def test_materialize_button_runs_a_day_through_the_graph(materialized: Materialized) -> None:
    day, lake = materialized.whole_day, materialized.lake
    photos = lake.table("raw_images").scan(day, day).collect()
    accepted = photos.filter(status="accepted")
    assert photos.height == PHOTOS_PER_DAY and accepted.height > 0
    for name in ("classifications", "clip_embeddings"):
        predicted = lake.table(name).scan(day, day).collect()
        assert predicted["image_id"].sort().to_list() == accepted["image_id"].sort().to_list(), name


def test_marts_agree_with_the_lake(materialized: Materialized) -> None:
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
    assert stages["run_id"].n_unique() == len(materialized.backfilled), "a backfill must start one run per day"


def test_catalogue_shows_the_materialized_days(materialized: Materialized) -> None:
    first, last = materialized.backfilled[0].isoformat(), materialized.whole_day.isoformat()
    assert materialized.ui.materialized("raw_images") == [(first, last)]
    assert materialized.ui.materialized("classifications") == [(last, last)]


def test_daemon_reports_landed_photos(materialized: Materialized) -> None:
    """The arrivals sensor runs from the start; the day was not run, so only the sensor can have reported it."""
    day = materialized.nobodys.isoformat()
    wait_until(
        f"the report of {day}",
        lambda: (day, day) in materialized.ui.materialized("landing"),
        120,
        lambda: str(materialized.ui.materialized("landing")),
    )


def test_ui_shows_the_graph_and_materialized_days(materialized: Materialized, browser: object, tmp_path: Path) -> None:
    page = browser.new_page(viewport=SIZE_PX)  # type: ignore[attr-defined]
    page.add_init_script("".join(f"localStorage[{name!r}] = {value!r};" for name, value in STORED.items()))
    expanded = ",".join(f"global@global:{group}" for group in GROUPS)
    page.goto(f"{materialized.ui.url}/asset-groups/image_tensors?expanded={expanded}")

    made = len(materialized.backfilled) + 1
    page.get_by_text(f"{made}/{len(daily.get_partition_keys())}").wait_for(timeout=120_000)
    page.locator('button:has([aria-label="panel_show_right"])').last.click()
    for name in (
        "raw_images",
        "image_tensors",
        "classifications",
        "clip_embeddings",
        "image_quality",
        "daily_rejections",
        "daily_intake_quality",
    ):
        assert page.get_by_text(name, exact=True).first.is_visible(), name
    page.get_by_text("Loading...").first.wait_for(state="detached", timeout=120_000)
    page.wait_for_timeout(1_500)  # the graph is animated at first

    picture = tmp_path / "dagster-ui.png"
    page.screenshot(path=picture)
    colours = np.unique(np.asarray(Image.open(picture).convert("P")))
    assert len(colours) > 10, "the picture is empty"
    if KEPT_IN:
        shutil.copy(picture, KEPT_IN)


def answer(marts: Path, query: str, day: date) -> int | None:
    """One number from a mart; None while dbt writes the file."""
    try:
        with duckdb.connect(str(marts), read_only=True) as connection:
            row = connection.execute(query, [day]).fetchone()
    except duckdb.IOException:
        return None
    return int(row[0]) if row and row[0] is not None else 0


def test_late_photos_reach_the_marts_unattended(materialized: Materialized) -> None:
    """One on a finished day, and one on a day that was never run, whose checks have no earlier results."""
    ui, lake, marts = materialized.ui, materialized.lake, materialized.marts
    finished, unheard_of = materialized.whole_day, materialized.backfilled[0] - timedelta(days=1)
    accepted = lake.accepted(finished).height
    ui.start_automation()
    for number, day in enumerate((finished, unheard_of)):
        list(land(lake.objects, day, [("late.jpg", photo(4711 + number))]))

    expected = {
        (INTAKE, finished): PHOTOS_PER_DAY + 1,
        (LABELS, finished): accepted + 1,
        (COST, finished): accepted + 1,
        (INTAKE, unheard_of): 1,
        (LABELS, unheard_of): 1,
        (COST, unheard_of): 1,
    }

    def told() -> dict[tuple[str, date], int | None]:
        return {(query, day): answer(marts, query, day) for query, day in expected}

    wait_until("the late photos in the marts", lambda: told() == expected, CHAIN_SECONDS, lambda: f"{told()}")
    inferred = lake.table("stage_runs").scan(finished, finished).filter(stage="clip_embeddings").collect()
    assert inferred.sort("finished_at")["images"].to_list() == [accepted, 1], (
        "a late photo must cost the work of one photo only"
    )
