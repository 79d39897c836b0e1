"""The nightly schedule: yesterday through the whole graph, whether or not the sensor has seen photos arrive."""

from datetime import timedelta

import dagster as dg

from shelf_assets.defs.automation.jobs import NIGHTLY_JOB


def build_nightly_schedule(hour_utc: int) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="nightly",
        job=NIGHTLY_JOB,
        cron_schedule=f"15 {hour_utc} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Materializes yesterday (UTC). Days that were finished by the arrivals sensor cost a look.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = (context.scheduled_execution_time - timedelta(days=1)).date()
        # No run_key: a fixed one per day would drop every later request for that day for ever.
        return dg.RunRequest(partition_key=yesterday.isoformat())

    return nightly
