"""The nightly schedule: which day it requests."""

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
def test_nightly_schedule_requests_yesterday(moment: datetime, day: str) -> None:
    assert asked_for(moment).partition_key == day


def test_second_request_for_a_day_is_not_deduplicated() -> None:
    assert asked_for(datetime(2026, 11, 20, 1, 15, tzinfo=UTC)).run_key is None


def test_nightly_hour_follows_the_setting_in_utc() -> None:
    schedule = build_nightly_schedule(4)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 4 * * *", "UTC")
