"""Metadata that a commit records about its day, read back from the table's log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from shelf_assets.lake.delta import LakeTable

# How many of the newest commits are read, one request each, until the day is found. The last number ends the search: a
# whole history would be read for a day that lost its log.
_NEWEST_COMMITS = (20, 200, 1_000)


def commit_info(day: date, **facts: object) -> dict[str, str]:
    """Custom metadata for a commit of `day`."""
    return {"day": day.isoformat(), **{name: str(value) for name, value in facts.items()}}


def newest_commit_info(table: LakeTable, day: date) -> Mapping[str, str] | None:
    """The metadata of the newest commit of `day`; None if there is none, or if its log entry has expired."""
    opened = table.open()
    if opened is None:
        return None
    for count in _NEWEST_COMMITS:
        history = opened.history(count)
        found = next((entry for entry in history if entry.get("day") == day.isoformat()), None)
        if found is not None or len(history) < count:
            return found
    return None
