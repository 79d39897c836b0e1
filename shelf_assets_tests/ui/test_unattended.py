"""Nobody presses a button: photos land, and the daemon's sensor and conditions take them through to the marts.

Last in this room, by its name too: it adds to the days that the others count.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from shelf_assets.intake.put_photos import land
from shelf_assets_tests.stories.photos import photo
from shelf_assets_tests.ui.conftest import PHOTOS_PER_DAY, Materialized
from shelf_assets_tests.ui.servers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CHAIN_SECONDS = 600
INTAKE = "select photos_in from daily_intake_quality where day = ?"
LABELS = "select sum(images) from daily_label_popularity where day = ?"
COST = "select sum(images) from pipeline_cost_daily where day = ? and stage = 'clip_embeddings'"


def answer(marts: Path, query: str, day: date) -> int | None:
    """One number of a mart; None while dbt writes the file."""
    try:
        with duckdb.connect(str(marts), read_only=True) as connection:
            row = connection.execute(query, [day]).fetchone()
    except duckdb.IOException:
        return None
    return int(row[0]) if row and row[0] is not None else 0


def test_late_photos_that_do_not_reach_the_marts_by_themselves(materialized: Materialized) -> None:
    """One on a finished day, and one on a day of which nothing was ever made: its checks have no history to pass by."""
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
    assert inferred.sort("finished_at")["images"].to_list() == [accepted, 1], "a late photo costs one photo's work"
