"""The rules' queries on raw_images, without reading all days.

The index gives the days to read, and days with data files that it does not cover are read as well. The rows of these days
are then compared. So results equal those of `ScannedRows` even if the index is behind or has too many entries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from deltalake import DeltaTable

from shelf_assets.lake.data_files import data_files
from shelf_assets.lake.hash_index.entries import Kind, days_of_kind, group_keys, hash_keys
from shelf_assets.lake.hash_index.manifest import Manifest, newest
from shelf_assets.lake.hash_index.runs import RunGone
from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.object_store import ObjectStore

log = logging.getLogger(__name__)

# A run disappears only after a newer manifest was written; several times in one look-up means damage.
_LOOKS = 3
# More uncovered files mean that the index was lost or never built, which is logged.
_MANY_UNCOVERED = 100


class IndexedRows:
    """raw_images at the version `opened`; `frame` are all its rows, `objects` its folder."""

    def __init__(self, opened: DeltaTable, frame: pl.LazyFrame, objects: ObjectStore) -> None:
        self._opened, self._objects = opened, objects
        self._rows = ScannedRows(frame)

    def all_rows(self) -> pl.LazyFrame:
        return self._rows.all_rows()

    def of_days(self, days: Collection[date]) -> pl.LazyFrame:
        return self._rows.of_days(days)

    def between(self, first_day: date, last_day: date) -> pl.LazyFrame:
        return self._rows.between(first_day, last_day)

    def accepted_with(self, sha256: pl.Series) -> pl.LazyFrame:
        return self._among(sha256, hash_keys, Kind.ACCEPTED).accepted_with(sha256)

    def copies_of(self, sha256: pl.Series) -> pl.LazyFrame:
        return self._among(sha256, hash_keys, Kind.COPY).copies_of(sha256)

    def members_of(self, groups: pl.Series) -> pl.LazyFrame:
        return self._among(groups, group_keys, Kind.MEMBER).members_of(groups)

    @cached_property
    def uncovered(self) -> pl.DataFrame:
        """path, rows and day of the data files that the index does not cover."""
        files = self._files
        found = files.filter(~pl.col("path").is_in(self._manifest.covered)) if self._manifest else files
        if found.height > _MANY_UNCOVERED:
            log.warning(
                "raw_images: %s of %s data files are not in the hash index yet, so that the look for duplicates reads "
                "them; commits add some at a time, table maintenance adds all",
                *(f"{files.height:,}" for files in (found, files)),
            )
        return found

    @cached_property
    def _files(self) -> pl.DataFrame:
        return data_files(self._opened)

    @cached_property
    def _manifest(self) -> Manifest | None:
        return newest(self._objects)

    def _among(self, values: pl.Series, keys_of: Callable[[pl.Series], np.ndarray], kind: Kind) -> ScannedRows:
        """The rows of the days that may have one of these values."""
        keys = np.unique(keys_of(values.drop_nulls()))
        return ScannedRows(self._rows.of_days(self._days(keys, kind))) if keys.size else ScannedRows(self.of_days([]))

    def _days(self, keys: np.ndarray, kind: Kind) -> list[date]:
        for _ in range(_LOOKS):
            runs = self._manifest.runs if self._manifest else ()
            try:
                found = [days_of_kind(run.find(keys), kind) for run in runs]
            except RunGone as gone:
                log.info("raw_images: the hash index has changed meanwhile (%s); looking again", gone)
                self.__dict__.pop("_manifest", None)
                self.__dict__.pop("uncovered", None)
                continue
            return pl.concat([self.uncovered["day"], *found]).unique().to_list()
        log.warning("raw_images: the hash index lacks a file, so that all days are read; table maintenance mends it")
        return self._files["day"].unique().to_list()
