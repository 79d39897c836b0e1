"""The nightly schedule: which day it asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from shelf_assets.defs.automation.schedules import build_nightly_schedule


def asked_for(moment: datetime) -> dg.RunRequest:
    context = dg.build_schedule_context(scheduled_execution_time=moment)
    request = build_nightly_schedule(1)(context)
    assert isinstance(request, dg.RunRequest)
    return request


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 20, 1, 15, tzinfo=UTC), "2026-11-19"),
        (datetime(2026, 3, 1, 0, 15, tzinfo=UTC), "2026-02-28"),
        (datetime(2026, 1, 1, 1, 15, tzinfo=UTC), "2025-12-31"),
    ],
)
def test_the_night_asks_for_yesterday(moment: datetime, day: str) -> None:
    assert asked_for(moment).partition_key == day


def test_no_run_key_swallows_a_second_request_for_a_day() -> None:
    assert asked_for(datetime(2026, 11, 20, 1, 15, tzinfo=UTC)).run_key is None


def test_the_hour_is_a_setting_and_means_utc() -> None:
    schedule = build_nightly_schedule(4)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 4 * * *", "UTC")
