"""What every asset does alike: know its day, and record what it spent. Nothing that only one asset needs."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from shelf_assets.days import require_known_day
from shelf_assets.defs.partitions import partition_day
from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.lake.schemas import STAGE_RUNS
from shelf_assets.observe.meter import Meter


def day_of(context: dg.AssetExecutionContext) -> date:
    """The day of this run; a day in the future, or before the calendar, is refused by name."""
    return require_known_day(partition_day(context.partition_key))


def run_info(context: dg.AssetExecutionContext) -> Mapping[str, str]:
    """What a commit's metadata says of the run that made it."""
    return {"dagster_run_id": context.run.run_id}


def save_cost(context: dg.AssetExecutionContext, lake: LakeResource, day: date, meter: Meter) -> None:
    """Record what a stage spent. One that worked on nothing leaves no trace but the table itself, which the marts read."""
    spent = meter.row(day, context.run.run_id) if meter.images else STAGE_RUNS.empty()
    lake.lake.table(STAGE_RUNS.name).commit(spent, days=[day], info=run_info(context))
