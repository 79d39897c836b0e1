"""What happens when a run fails: one place from which people are told. For now the notifier is the log."""

import logging

import dagster as dg

log = logging.getLogger("shelf_assets.notifications")


def failure_message(context: dg.RunFailureSensorContext) -> str:
    """One line: which run and day failed, at which step, and why."""
    day = context.dagster_run.tags.get("dagster/partition", "no day")
    steps = (
        ", ".join(event.step_key for event in context.get_step_failure_events() if event.step_key)
        or "no step"
    )
    return f"run {context.dagster_run.run_id[:8]} of {day} failed at {steps}: {context.failure_event.message}"


@dg.run_failure_sensor(
    name="run_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of every failed run, in the log.",
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    message = failure_message(context)
    log.error(message)
    context.log.error(message)
