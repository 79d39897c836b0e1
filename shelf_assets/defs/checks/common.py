"""Helpers of the checks: one multi-asset check for each producing op, in a pod of that op's size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from shelf_assets.defs.partitions import daily, partition_day
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.predict import Predict
from shelf_assets.pipeline.settings import PipelineSettings
from shelf_assets.pipeline.stage import DayView


@dataclass(frozen=True)
class DayUnderCheck(DayView):
    """One day, and the parts of the platform that a check may use."""

    ingest: Ingest
    predict: Predict
    settings: PipelineSettings


Result = tuple[bool, str, Mapping[str, Any]]
Check = Callable[[DayUnderCheck], Result]


@dataclass(frozen=True)
class DeclaredCheck:
    """A check of one asset. A failed blocking check stops the day; any other only warns."""

    asset: str
    name: str
    description: str
    check: Check
    is_blocking: bool = True


def build_checks(name: str, checks: Sequence[DeclaredCheck], op_tags: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    """One op for all checks of one producing op."""
    by_key = {(each.asset, each.name): each for each in checks}
    specs = [
        dg.AssetCheckSpec(
            each.name,
            asset=each.asset,
            description=each.description,
            blocking=each.is_blocking,
            partitions_def=daily,
        )
        for each in checks
    ]

    @dg.multi_asset_check(name=name, specs=specs, can_subset=True, op_tags=op_tags)
    def check_day(
        context: dg.AssetCheckExecutionContext,
        ingest: dg.ResourceParam[Ingest],
        predict: dg.ResourceParam[Predict],
        pipeline: dg.ResourceParam[PipelineSettings],
    ) -> Iterator[dg.AssetCheckResult]:
        day = DayUnderCheck(ingest.lake, partition_day(context.partition_key), ingest, predict, pipeline)
        failures: list[Exception] = []
        for key in sorted(context.selected_asset_check_keys):
            declared = by_key[key.asset_key.to_user_string(), key.name]
            try:
                passed, description, metadata = declared.check(day)
            except Exception as error:  # noqa: BLE001 - raised below: one check that cannot ask does not silence the others
                error.add_note(f"while asking {key.name} of {key.asset_key.to_user_string()}")
                failures.append(error)
                continue
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=passed,
                severity=dg.AssetCheckSeverity.ERROR if declared.is_blocking else dg.AssetCheckSeverity.WARN,
                description=description,
                metadata=metadata,
            )
        if failures:
            # The message has all of them: the UI shows no more of a group.
            causes = "; ".join(sorted({str(error) for error in failures}))
            raise ExceptionGroup(f"{len(failures)} of {len(by_key)} checks could not be made: {causes}", failures)

    return check_day


def first_few(what: str, values: pl.Series) -> str:
    shown = ", ".join(map(str, values.head(5).to_list()))
    return f"{len(values)} {what}: {shown}{' …' if len(values) > 5 else ''}" if len(values) else ""
