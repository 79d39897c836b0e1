"""Helpers of the checks: one multi-asset check for each producing op, in a pod of its size, and how results read."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from shelf_assets.defs.partitions import daily, partition_day
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.predict import Predict
from shelf_assets.pipeline.settings import PipelineSettings


class DayUnderCheck:
    """One day, and the parts of the platform that a check may ask."""

    def __init__(self, day: date, ingest: Ingest, predict: Predict, settings: PipelineSettings) -> None:
        self.day, self.ingest, self.predict, self.settings = day, ingest, predict, settings
        self.lake = ingest.lake

    def rows(self, table: str) -> pl.LazyFrame:
        return self.lake.table(table).scan(self.day, self.day)


Result = tuple[bool, str, dict[str, Any]]
Check = Callable[[DayUnderCheck], Result]


def build_checks(
    name: str, checks: Mapping[tuple[str, str], tuple[str, Check]], op_tags: Mapping[str, Any]
) -> dg.AssetChecksDefinition:
    """One op for all checks of one producing op. `checks`: (asset, check name) -> (description, check); all of them block."""
    specs = [
        dg.AssetCheckSpec(check, asset=asset, description=description, blocking=True, partitions_def=daily)
        for (asset, check), (description, _) in checks.items()
    ]

    @dg.multi_asset_check(name=name, specs=specs, can_subset=True, op_tags=op_tags)
    def check_day(
        context: dg.AssetCheckExecutionContext,
        ingest: dg.ResourceParam[Ingest],
        predict: dg.ResourceParam[Predict],
        pipeline: dg.ResourceParam[PipelineSettings],
    ) -> Iterator[dg.AssetCheckResult]:
        day = DayUnderCheck(partition_day(context.partition_key), ingest, predict, pipeline)
        for key in sorted(context.selected_asset_check_keys):
            _, check = checks[key.asset_key.to_user_string(), key.name]
            passed, description, metadata = check(day)
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=passed,
                description=description,
                metadata=metadata,
            )

    return check_day


def first_few(what: str, values: pl.Series) -> str:
    shown = ", ".join(map(str, values.head(5).to_list()))
    return f"{len(values)} {what}: {shown}{' …' if len(values) > 5 else ''}" if len(values) else ""
