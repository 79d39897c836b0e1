"""The message of a failed run names the day, the step and the cause."""

from __future__ import annotations

import logging

import dagster as dg
import pytest

from shelf_assets.defs.automation.run_status import failure_message, run_failures
from shelf_assets.defs.partitions import daily
from shelf_assets.defs.running import RANGE_END, RANGE_START

DAY = "2026-03-01"


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def broken_pictures() -> None:
    try:
        raise OSError("bucket photos does not answer")
    except OSError as unreachable:
        raise RuntimeError("could not list the day") from unreachable


def failed_run(partition: str | None, tags: dict[str, str]) -> dg.RunFailureSensorContext:
    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize(
        [broken_pictures], instance=instance, partition_key=partition, tags=tags, raise_on_error=False
    )
    return dg.build_run_status_sensor_context(
        sensor_name="run_failures",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()


def test_failure_message_names_day_step_and_cause() -> None:
    context = failed_run(DAY, {})
    message = failure_message(context)
    assert DAY in message
    assert "broken_pictures" in message
    assert "bucket photos does not answer" in message
    assert context.dagster_run.run_id[:8] in message


def test_failure_message_of_a_range_names_first_and_last_day() -> None:
    message = failure_message(failed_run(None, {RANGE_START: DAY, RANGE_END: "2026-03-03"}))
    assert f"{DAY} to 2026-03-03" in message


def test_run_failure_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="shelf_assets.notifications"):
        run_failures(failed_run(DAY, {}))
    assert any(DAY in record.getMessage() for record in caplog.records)
