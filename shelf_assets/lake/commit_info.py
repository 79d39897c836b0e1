"""Facts that a commit recorded about the day it wrote, read back from the table's log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from shelf_assets.lake.delta import LakeTable

# The day is found among the newest commits or not at all: a whole history would be read for a day that lost its log.
_NEWEST_COMMITS = 1_000


def commit_info(day: date, **facts: object) -> dict[str, str]:
    """Custom metadata of a commit of `day` that records facts of it."""
    return {"day": day.isoformat(), **{name: str(value) for name, value in facts.items()}}


def newest_commit_info(table: LakeTable, day: date) -> Mapping[str, str] | None:
    """What the newest commit of `day` recorded; None where none did, or its log entry has expired."""
    opened = table.open()
    history = [] if opened is None else opened.history(_NEWEST_COMMITS)
    return next((entry for entry in history if entry.get("day") == day.isoformat()), None)
