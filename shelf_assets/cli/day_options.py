"""The options --day, --from and --to, and the days that they name."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from shelf_assets.days import days_between, require_known_day

Day = Annotated[str | None, typer.Option(help="One UTC day, YYYY-MM-DD.")]
From = Annotated[str | None, typer.Option("--from", help="First UTC day of a range.")]
To = Annotated[str | None, typer.Option("--to", help="Last UTC day of a range (included).")]


def parse_day(text: str) -> date:
    """The day that the text names. Raises ValueError for text that is not a day, and for a day outside the calendar."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day; write it as YYYY-MM-DD") from None
    return require_known_day(day)


def parse_days(day: str | None, first: str | None, last: str | None) -> list[date]:
    """The days that the options name, in order. Raises ValueError unless they are --day alone, or --from and --to."""
    if day and (first or last):
        raise ValueError("give --day, or --from and --to, not both")
    if day:
        return [parse_day(day)]
    if not (first and last):
        raise ValueError("which days? give --day YYYY-MM-DD, or --from and --to")
    return days_between(parse_day(first), parse_day(last))
