"""The calendar of the platform: UTC receipt days. A leaf: imports no other module of this package."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

FIRST_DAY = date(2025, 1, 1)


def days_between(first_day: date, last_day: date) -> list[date]:
    """Every day from first_day to last_day, both included."""
    if last_day < first_day:
        raise ValueError(f"the range ends ({last_day}) before it begins ({first_day})")
    return [first_day + timedelta(days=offset) for offset in range((last_day - first_day).days + 1)]


def today_utc() -> date:
    return datetime.now(UTC).date()


def require_known_day(day: date) -> date:
    """Return the day. Raises ValueError if it cannot have a partition."""
    if day > today_utc():
        raise ValueError(f"{day} lies in the future (today is {today_utc()} UTC): its photos cannot have arrived")
    if day < FIRST_DAY:
        raise ValueError(f"{day} lies before the calendar's first day {FIRST_DAY}; see shelf_assets/days.py")
    return day
