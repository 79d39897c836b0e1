"""Queries of the rules on a table, and their simple implementation: a scan of the whole table.

Results are lazy frames in the table's declared columns, at one version of the table. `hash_index.rows` implements the
queries over all days without reading all days.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Protocol

import polars as pl

from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE


class KnownRows(Protocol):
    """The rows of a table at one version. The last three queries are for raw_images only."""

    def all_rows(self) -> pl.LazyFrame:
        """All rows of the table."""

    def of_days(self, days: Collection[date]) -> pl.LazyFrame:
        """All rows of these days."""

    def between(self, first_day: date, last_day: date) -> pl.LazyFrame:
        """All rows from first_day to last_day, both included."""

    def accepted_with(self, sha256: pl.Series) -> pl.LazyFrame:
        """Accepted rows of all days with one of these sha256."""

    def copies_of(self, sha256: pl.Series) -> pl.LazyFrame:
        """Duplicates of all days with one of these sha256."""

    def members_of(self, groups: pl.Series) -> pl.LazyFrame:
        """Rows of all days in one of these near-duplicate groups."""


class ScannedRows:
    """Every query is a filter of `frame`, the whole table."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def all_rows(self) -> pl.LazyFrame:
        return self._frame

    def of_days(self, days: Collection[date]) -> pl.LazyFrame:
        return self._frame.filter(pl.col("day").is_in(list(days)))

    def between(self, first_day: date, last_day: date) -> pl.LazyFrame:
        return self._frame.filter(pl.col("day").is_between(first_day, last_day))

    def accepted_with(self, sha256: pl.Series) -> pl.LazyFrame:
        return self._frame.filter((pl.col("status") == ACCEPTED) & pl.col("sha256").is_in(sha256.implode()))

    def copies_of(self, sha256: pl.Series) -> pl.LazyFrame:
        return self._frame.filter((pl.col("status") == DUPLICATE) & pl.col("sha256").is_in(sha256.implode()))

    def members_of(self, groups: pl.Series) -> pl.LazyFrame:
        return self._frame.filter(pl.col("near_duplicate_group").is_in(groups.implode()))
