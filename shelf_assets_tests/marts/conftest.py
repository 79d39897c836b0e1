"""One built copy of the small lake's marts for the whole session: a dbt call costs about ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pytest

from shelf_assets_tests.marts.dbt_runner import DbtRunner, succeeded
from shelf_assets_tests.marts.small_lake import (
    DAYS,
    FULL_DAY,
    LAST_DAY,
    SmallLake,
    photo,
    prediction,
    stage_run,
    write_three_days,
)

Marts = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Story:
    """The contents of the marts and the lake after each run."""

    runner: DbtRunner
    lake_at_first: dict[str, pl.DataFrame]
    first: Marts
    after_late_photo: Marts
    after_repeat_and_emptied_day: Marts


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> DbtRunner:
    """The embedded target, parsed once. Its folder name contains a space and a quote."""
    state = tmp_path_factory.mktemp("marts")
    runner = DbtRunner(state, (state / "shopper's la ke").as_uri())
    succeeded(runner.run("parse"))
    return runner


@pytest.fixture(scope="session")
def story(parsed: DbtRunner) -> Iterator[Story]:
    """Three runs: all days; the full day after a late photo; all days after the last one was emptied."""
    lake = SmallLake(parsed.lake_url)
    write_three_days(lake)
    lake_at_first = {name: lake.rows(name) for name in ("raw_images", "classifications", "stage_runs")}
    succeeded(parsed.build(DAYS[0], DAYS[-1]))
    first = parsed.marts()

    # A late photo arrives, and the last day is emptied; the run of the late photo's day must not change the last day.
    lake.append("raw_images", [photo(FULL_DAY, "late")])
    lake.append("classifications", [prediction(FULL_DAY, "late", "tin", 0.77, hour=20)])
    lake.append("stage_runs", [stage_run(FULL_DAY, "run5", "classifications", 1, 0.5, "resnet")])
    for name in ("raw_images", "classifications", "stage_runs"):
        lake.clear_day(name, LAST_DAY)
    succeeded(parsed.build(FULL_DAY, FULL_DAY))
    after_late_photo = parsed.marts()

    succeeded(parsed.build(FULL_DAY, LAST_DAY))
    yield Story(parsed, lake_at_first, first, after_late_photo, parsed.marts())
