"""Store the cost of a stage as a row of `stage_runs`."""

from __future__ import annotations

from datetime import date

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.schemas import STAGE_RUNS
from shelf_assets.observe.meter import Meter


def save_cost(lake: Lake, day: date, run_id: str, meter: Meter) -> None:
    """Record the cost of a stage. A stage without work adds no row, but the table is created, because the marts read it."""
    spent = meter.row(day, run_id) if meter.images else STAGE_RUNS.empty()
    lake.table(STAGE_RUNS.name).commit(spent, days=[day], info={"dagster_run_id": run_id})
