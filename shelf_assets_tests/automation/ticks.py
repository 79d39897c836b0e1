"""What happened in an instance, told event by event, and what the conditions ask for then. Nothing is run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD_DAY = date(2026, 3, 1)
Requested = dict[str, set[str | None]]


class Ticks:
    """One instance under the conditions of `defs`; each tick is a minute after the last."""

    def __init__(self, defs: dg.Definitions) -> None:
        self.defs = defs
        self.assets = defs.resolve_asset_graph()
        self.instance = dg.DagsterInstance.ephemeral()
        self._cursor: AssetDaemonCursor | None = None
        self._time = NOW

    def tick(self) -> Requested:
        """Days requested, by asset."""
        self._time += timedelta(minutes=1)
        result = dg.evaluate_automation_conditions(
            self.defs, self.instance, cursor=self._cursor, evaluation_time=self._time
        )
        self._cursor = result.cursor
        return {
            key.to_user_string(): set(result.get_requested_partitions(key))
            for key in self.assets.get_all_asset_keys()
            if result.get_num_requested(key)
        }

    def made(self, name: str, day: date, passed: bool = True) -> None:
        """The asset's day was materialized, and its checks said `passed`."""
        key, partition = dg.AssetKey(name), day.isoformat()
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
        newest = self.instance.fetch_materializations(key, limit=1).records[0]
        for check in sorted(self.assets.asset_check_keys):
            if check.asset_key == key:
                evaluation = dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=check.name,
                    passed=passed,
                    partition=partition if self.assets.get(check).partitions_def else None,
                    target_materialization_data=Target(
                        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
                    ),
                )
                self.instance.report_runless_asset_event(evaluation)


def only(day: date, *assets: str) -> Requested:
    return {asset: {day.isoformat()} for asset in assets}
