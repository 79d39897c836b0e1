"""The daily partitioning of every asset. The calendar itself is in `shelf_assets.days`."""

from datetime import date

import dagster as dg

from shelf_assets.days import FIRST_DAY

# end_offset=1: today's partition exists before the day is over, so that early photos can be processed. The nightly
# schedule materializes yesterday, which is complete.
daily = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)


def partition_day(partition_key: str) -> date:
    return date.fromisoformat(partition_key)
