"""Notification of failed runs; so far it is a line in the log."""

import logging
from collections.abc import Mapping

import dagster as dg

from shelf_assets.defs.running import RANGE_END, RANGE_START, root_cause

log = logging.getLogger("shelf_assets.notifications")


def failure_message(context: dg.RunFailureSensorContext) -> str:
    """One line: which run and days failed, at which steps, and why."""
    run = context.dagster_run
    causes = [
        f"{event.step_key} ({root_cause(event.step_failure_data.error)})"
        for event in context.get_step_failure_events()
        if event.step_failure_data.error
    ]
    # A run that ended outside its steps, for example with a killed pod, has only the run's own message.
    where = f"at {'; '.join(causes)}" if causes else f"outside its steps: {context.failure_event.message}"
    return f"run {run.run_id[:8]} of {_days(run.tags)} failed {where}"


def _days(tags: Mapping[str, str]) -> str:
    if first := tags.get(RANGE_START):
        return f"{first} to {tags[RANGE_END]}"
    return tags.get("dagster/partition", "no day")


@dg.run_failure_sensor(
    name="run_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of every failed run, in the log.",
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    message = failure_message(context)
    log.error(message)
    context.log.error(message)
