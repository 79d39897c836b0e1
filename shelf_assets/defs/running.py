"""Runs days through Dagster in this process, on the instance that the UI opens. The graph itself is in `assets`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

# The event log has everything; the terminal shows progress bars and errors only.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class RunFailed(RuntimeError):
    """A run ended without success; the message names the day, the run and the step."""


@dataclass(frozen=True)
class FinishedRun:
    days: tuple[date, ...]
    run_id: str


def select_assets(defs: dg.Definitions, selection: str | None) -> set[dg.AssetKey]:
    """Keys of a Dagster selection (`key:raw_images+`, `group:vision`, …); all that can be materialized without one."""
    graph = defs.resolve_asset_graph()
    try:
        chosen = dg.AssetSelection.from_string(selection) if selection else dg.AssetSelection.all()
    except dg.DagsterError as invalid:
        raise ValueError(f"{invalid}; write it as in the UI, for example 'key:raw_images+' or 'group:vision'") from None
    keys = set(chosen.resolve(graph)) & graph.executable_asset_keys
    if not keys:
        known = ", ".join(sorted(key.to_user_string() for key in graph.executable_asset_keys))
        raise ValueError(f"nothing to run is selected by {selection!r}; there are {known}")
    return keys


def run_days(
    defs: dg.Definitions, instance: dg.DagsterInstance, days: Sequence[date], keys: set[dg.AssetKey]
) -> list[FinishedRun]:
    """Materialize the chosen assets for the days: one run a day, then one run over the days for the marts.

    The same policy as a backfill from the UI: starting dbt costs more than its SQL, so all days share one call; a day of
    photos takes long, and a failed day must not stop others. Raises RunFailed at the end, with the message of each failed run.
    """
    marts = keys & marts_keys(defs)
    runs: list[FinishedRun] = []
    failures: list[str] = []

    def succeeded(keys_of_run: set[dg.AssetKey], days_of_run: Sequence[date]) -> bool:
        try:
            runs.append(_run(defs, instance, keys_of_run, days_of_run))
        except RunFailed as failed:
            failures.append(str(failed))
            return False
        return True

    stages = keys - marts
    good = [day for day in days if not stages or succeeded(stages, [day])]
    # A day that a blocking check has stopped is left out of the marts, because its numbers would be wrong.
    for stretch in _stretches(good) if marts else []:
        succeeded(marts, stretch)
    if failures:
        done = f"\n{len(runs)} of {len(runs) + len(failures)} runs succeeded" if runs else ""
        raise RunFailed("\n".join(failures) + done)
    return runs


def _stretches(days: Sequence[date]) -> list[list[date]]:
    """The days in stretches without a gap: a run over a range covers every day between its ends."""
    stretches: list[list[date]] = []
    for day in days:
        if stretches and day - stretches[-1][-1] == timedelta(days=1):
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


def marts_keys(defs: dg.Definitions) -> set[dg.AssetKey]:
    return set(dg.AssetSelection.groups("marts").resolve(defs.resolve_asset_graph()))


def _run(
    defs: dg.Definitions, instance: dg.DagsterInstance, keys: set[dg.AssetKey], days: Sequence[date]
) -> FinishedRun:
    if len(days) == 1:
        partition, tags = days[0].isoformat(), {}
    else:
        partition, tags = None, {RANGE_START: days[0].isoformat(), RANGE_END: days[-1].isoformat()}
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        partition_key=partition,
        tags=tags,
        asset_selection=sorted(keys),
        raise_on_error=False,
        run_config=QUIET,
    )
    if not result.success:
        failures = [
            f"{event.step_key}: {root_cause(event.step_failure_data.error)}"
            for event in result.all_events
            if event.is_step_failure and event.step_failure_data.error
        ]
        span = str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
        raise RunFailed(f"{span}: run {result.run_id} failed\n" + "\n".join(failures))
    return FinishedRun(tuple(days), result.run_id)


def root_cause(error: object) -> str:
    """The message of our own error, without the Dagster errors around it, and what it was raised from."""
    while getattr(error, "cause", None) and str(getattr(error, "cls_name", "")).startswith("Dagster"):
        error = error.cause  # type: ignore[attr-defined]
    message = str(getattr(error, "message", error)).strip()
    below = getattr(error, "cause", None)
    # Most errors quote their cause already.
    if below and (why := str(below.message).strip()).partition(": ")[2] not in message:
        return f"{message}, because of {why}"
    return message
