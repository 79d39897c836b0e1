"""The result of a rule: the rows that a commit writes, and the existing rows that they replace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.schemas import TableSpec

Days = tuple[date, ...]


@dataclass(frozen=True)
class Change:
    """`rows` are appended, or replace all rows of `replaced_days`, or (`replaces_table`) all rows of the table.

    `rows_new` counts the rows that were added or changed, `rows_erased` those that `erase_rows` removed.
    """

    rows: pl.DataFrame
    replaced_days: Days = ()
    replaces_table: bool = False
    rows_new: int = 0
    rows_erased: int = 0


def days_of(rows: pl.DataFrame, spec: TableSpec) -> Days:
    """The days of the rows in ascending order; none for a table that is not partitioned by day."""
    return tuple(rows["day"].unique().sort()) if spec.is_by_day else ()


def replaceable_rows(known: KnownRows, days: Days, spec: TableSpec) -> pl.LazyFrame:
    """The rows that a change of these days may replace: those of the days, or all of a table without days."""
    return known.of_days(days) if spec.is_by_day else known.all_rows()


def replacement(rows: pl.DataFrame, days: Days, spec: TableSpec, *, rows_new: int = 0, rows_erased: int = 0) -> Change:
    """The change that writes `rows` in place of the `replaceable_rows` of these days."""
    return Change(rows, days, not spec.is_by_day, rows_new, rows_erased)


def changed_rows(
    rows: pl.DataFrame, existing: pl.DataFrame, spec: TableSpec, ignored: tuple[str, ...] = ()
) -> pl.DataFrame:
    """The rows whose key does not exist, or exists with other values (columns in `ignored` are not compared)."""
    compared = [name for name in spec.columns if name not in (*spec.key, *ignored)]
    renamed = existing.select(*spec.key, *(pl.col(name).alias(f"existing {name}") for name in compared))
    is_same = [pl.col(name).eq_missing(pl.col(f"existing {name}")) for name in compared]
    joined = rows.join(renamed.with_columns(exists=pl.lit(True)), on=list(spec.key), how="left")
    return joined.filter(~pl.all_horizontal(pl.col("exists").fill_null(False), *is_same)).select(rows.columns)


def same_rows(known: KnownRows, day: date | None, spec: TableSpec) -> Change | None:
    """Every row of the day (None: of a table without days) in place of itself: packs small files into few."""
    days = () if day is None else (day,)
    rows = replaceable_rows(known, days, spec).collect()
    return replacement(rows, days, spec) if rows.height else None
