"""Rule replace_day: the incoming rows are all rows of their days."""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.change import Change, changed_rows, days_of
from shelf_assets.lake.schemas import TableSpec


def replace_day(incoming: pl.DataFrame, known: KnownRows, spec: TableSpec) -> Change | None:
    """Return the rows of each day that differs from the existing one, in whatever order; None if no day differs.

    A day without an incoming row keeps its rows: `erase_rows` removes rows.
    """
    days = days_of(incoming, spec)
    existing = known.of_days(days).collect()
    new = changed_rows(incoming, existing, spec)
    dropped = existing.join(incoming, on=list(spec.key), how="anti")
    changed = tuple(pl.concat([new["day"], dropped["day"]]).unique().sort())
    if not changed:
        return None
    return Change(incoming.filter(pl.col("day").is_in(changed)), replaced_days=changed, rows_new=new.height)
