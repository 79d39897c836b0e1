"""Metadata that a commit records about its day, read back from the table's log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from shelf_assets.lake.delta import LakeTable

# Only the newest commits are searched: for a day whose log entry has expired, the whole history would be read.
_NEWEST_COMMITS = 1_000


def commit_info(day: date, **facts: object) -> dict[str, str]:
    """Custom metadata for a commit of `day`."""
    return {"day": day.isoformat(), **{name: str(value) for name, value in facts.items()}}


def newest_commit_info(table: LakeTable, day: date) -> Mapping[str, str] | None:
    """The metadata of the newest commit of `day`; None if there is none, or if its log entry has expired."""
    opened = table.open()
    history = [] if opened is None else opened.history(_NEWEST_COMMITS)
    return next((entry for entry in history if entry.get("day") == day.isoformat()), None)
