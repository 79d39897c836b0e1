"""Rule erase_rows: remove the rows with given keys, whatever the table's own rule is."""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.change import Change, days_of, replaceable_rows, replacement
from shelf_assets.lake.schemas import SchemaError, TableSpec


def erase_rows(keys: pl.DataFrame, known: KnownRows, spec: TableSpec) -> Change | None:
    """Return the days that contain rows with one of `keys`, without these rows; None if there is no such row.

    `keys` has one or more of the table's columns (`image_id`; or `day` and `key`): a row is erased if it equals one row of
    `keys` in all of them. All other rows of the days, and all other days, stay as they are. A table without days is
    rewritten as a whole.
    """
    columns = _columns(keys, spec)
    erased = known.all_rows().join(keys.lazy(), on=columns, how="semi").select(spec.key).collect()
    if erased.is_empty():
        return None
    days = days_of(erased, spec)
    rows = replaceable_rows(known, days, spec).collect().join(keys, on=columns, how="anti")
    return replacement(rows, days, spec, rows_erased=erased.height)


def rows_to_erase(keys: pl.DataFrame, known: KnownRows, spec: TableSpec) -> pl.DataFrame:
    """day, rows: how many rows `erase_rows` would remove from each day; day is null for a table without days."""
    day = pl.col("day") if spec.is_by_day else pl.lit(None, pl.Date)
    found = known.all_rows().join(keys.lazy(), on=_columns(keys, spec), how="semi")
    return found.group_by(day.alias("day")).agg(rows=pl.len()).sort("day").collect()


def _columns(keys: pl.DataFrame, spec: TableSpec) -> list[str]:
    unknown = [name for name in keys.columns if name not in spec.columns]
    if unknown or not keys.columns:
        raise SchemaError(f"{spec.name}: rows are erased by its own columns, not by {', '.join(unknown) or 'none'}")
    return keys.columns
