"""Helpers that every asset needs: its day, and what its commits record of the run."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from shelf_assets.days import require_known_day
from shelf_assets.defs.partitions import partition_day


def day_of(context: dg.AssetExecutionContext) -> date:
    """The day of this run; a day in the future or before the calendar is refused."""
    return require_known_day(partition_day(context.partition_key))


def run_info(context: dg.AssetExecutionContext) -> Mapping[str, str]:
    """Metadata of a commit that names the run."""
    return {"dagster_run_id": context.run.run_id}
