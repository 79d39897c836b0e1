"""Events of an instance, made by empty assets, and the runs that the automation conditions request after them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from shelf_assets.defs.partitions import daily

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD_DAY = date(2026, 3, 1)
Requested = dict[str, set[str | None]]


class Ticks:
    """An instance with the conditions of `defs`; each tick is one minute later."""

    def __init__(self, defs: dg.Definitions) -> None:
        self.defs = defs
        self.assets = defs.resolve_asset_graph()
        self.instance = dg.DagsterInstance.ephemeral()
        self._cursor: AssetDaemonCursor | None = None
        self._time = NOW

    def tick(self) -> Requested:
        """Evaluate the conditions; returns the requested days by asset."""
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

    def landed(self, day: date) -> None:
        """Report the day as the arrivals sensor does."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization("landing", partition=day.isoformat()))

    def made(self, name: str, day: date, passed: bool = True) -> None:
        """Materialize the asset's day; its checks return `passed`."""
        key = dg.AssetKey(name)
        checks = [check.name for check in sorted(self.assets.asset_check_keys) if check.asset_key == key]
        dg.materialize(
            [_stand_in(name), *(_stand_in_check(name, check, passed) for check in checks)],
            instance=self.instance,
            partition_key=day.isoformat(),
            raise_on_error=False,
        )


def _stand_in(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=daily)
    def nothing() -> None: ...

    return nothing


def _stand_in_check(asset: str, name: str, passed: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=name, blocking=True, partitions_def=daily)
    def said() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed)

    return said


def only(day: date, *assets: str) -> Requested:
    return {asset: {day.isoformat()} for asset in assets}
