"""How the index follows the table: new data files become a run, runs are merged, files that nothing names are deleted.

Everything may run beside writers and beside other builders, and may be killed anywhere: the index changes only by a new
manifest, which is put whole. Of builders at once one wins; the others have worked for nothing and look again.

Runs are merged as a log-structured merge tree does (O'Neil et al. 1996): a new run takes in those that are not much
larger than itself, so that there are few runs, and an entry is written a few times for each tenfold of the table.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import polars as pl
from deltalake import DeltaTable

from shelf_assets.lake.data_files import data_files
from shelf_assets.lake.deletion import delete_objects
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.hash_index.entries import INDEXED_COLUMNS, entries_of
from shelf_assets.lake.hash_index.manifest import FOLDER, RUNS, Manifest, newest, put, unneeded
from shelf_assets.lake.hash_index.rows import IndexedRows
from shelf_assets.lake.hash_index.runs import Run, RunGone, merged, write_run
from shelf_assets.lake.object_store import ObjectStore, StoredObject

log = logging.getLogger(__name__)

# How far commits let the index fall behind: each look-up reads the hashes of so much.
MOST_UNCOVERED_FILES = 16
MOST_UNCOVERED_ROWS = 250_000
# What one step reads: 100 MB of hashes and groups, 50 MB of entries.
ROWS_AT_ONCE = 1_000_000
# What a commit may merge, in about 0.2 s; table maintenance merges the larger runs.
ENTRIES_MERGED_BY_COMMIT = 1_000_000
# A run takes in another one of up to so many times its size. A look-up reads a block of each run for each hash, so that few
# runs are worth more than few merges: a week of 5,000 photos a day meets 100 million known ones once a year.
_SIZE_RATIO = 64


class IndexedTable(Protocol):
    """What the index asks of raw_images."""

    @property
    def objects(self) -> ObjectStore: ...

    def open(self) -> DeltaTable | None: ...

    def scan_files(self, paths: Sequence[str]) -> pl.LazyFrame: ...


@dataclass(frozen=True)
class IndexReport:
    """What maintenance did to the index, and what the index is now."""

    covered_files: int
    covered_rows: int
    deleted_objects: int
    runs: int
    entries: int

    @property
    def did_nothing(self) -> bool:
        return not (self.covered_files or self.deleted_objects)


def is_behind(rows: IndexedRows) -> bool:
    """Whether the index lacks so much of this version that the commit that saw it should help."""
    missing = rows.uncovered
    return missing.height > MOST_UNCOVERED_FILES or missing["rows"].sum() > MOST_UNCOVERED_ROWS


def help_along(table: IndexedTable) -> None:
    """Cover some of the files that the index lacks: a bounded amount of work, so that a commit can afford it.

    A failure is only logged: the commit's rows are written, and the next commit or maintenance catches up.
    """
    try:
        _mend(table.objects)
        _cover_some(table, ENTRIES_MERGED_BY_COMMIT)
        delete_objects(table.objects, unneeded(table.objects, datetime.now(UTC)))
    except (StoreUnavailable, OSError, pl.exceptions.PolarsError) as error:
        log.warning("raw_images: the hash index stays behind (%s)", error)


def maintain(table: IndexedTable) -> IndexReport:
    """Cover every data file of the table, merge the runs and delete what is no longer named. Build the index if need be."""
    files = rows = 0
    while True:
        _mend(table.objects)
        covered = _cover_some(table)
        if covered is None:
            continue
        if covered.is_empty():
            break
        files, rows = files + covered.height, rows + int(covered["rows"].sum())
    deleted = unneeded(table.objects, datetime.now(UTC))
    delete_objects(table.objects, deleted)
    now = newest(table.objects)
    return IndexReport(files, rows, len(deleted), len(now.runs) if now else 0, now.entries if now else 0)


def forget_replaced_files(table: IndexedTable) -> tuple[StoredObject, ...]:
    """Build the index anew if it covers data files that the newest version does not read: they may have held erased rows.

    Returns the deleted objects of the index before. What a builder of this moment has written and not named yet is deleted
    as unneeded later.
    """
    index, opened = newest(table.objects), table.open()
    if index is None or opened is None or index.covered <= set(data_files(opened)["path"]):
        return ()
    before = list(table.objects.list(FOLDER))
    if put(table.objects, Manifest(index.number + 1, (), frozenset())):
        maintain(table)
    # Who still reads the index before looks again where a run is gone.
    named = {run.key for run in index.runs}
    forgotten = tuple(stored for stored in before if stored.key in named or not stored.key.startswith(RUNS))
    delete_objects(table.objects, [stored.key for stored in forgotten])
    return forgotten


def _mend(objects: ObjectStore) -> None:
    """Empty the index where a run is lost: which files it covered is unknown."""
    index = newest(objects)
    if index is not None and (lost := [run.key for run in index.runs if not objects.exists(run.key)]):
        log.warning("raw_images: the hash index lacks %s; it is built anew", ", ".join(lost))
        put(objects, Manifest(index.number + 1, (), frozenset()))


def _cover_some(table: IndexedTable, most_merged: int | None = None) -> pl.DataFrame | None:
    """Cover the next files of the newest version, and return them.

    None asks to look again: another builder came first, or the files were replaced and purged.
    """
    index = newest(table.objects) or Manifest(-1, (), frozenset())
    opened = table.open()
    if opened is None:
        return pl.DataFrame()
    files = data_files(opened)
    is_covered = pl.col("path").is_in(index.covered)
    missing = files.filter(~is_covered).sort("day", "path")
    # At least one file, however large.
    some = missing.filter(pl.col("rows").cum_sum().shift(1, fill_value=0) < ROWS_AT_ONCE)
    if some.is_empty():
        return some
    try:
        rows = table.scan_files(some["path"].to_list()).select(INDEXED_COLUMNS).collect()
    except (OSError, pl.exceptions.PolarsError):
        # Purging deletes files of older versions at once: then a newer version exists, and reading it works.
        now = table.open()
        if now is None or now.version() == opened.version():
            raise
        return None
    try:
        runs = _with_run(table.objects, index.runs, rows, most_merged)
    except RunGone:
        return None
    covered = frozenset(files.filter(is_covered)["path"]) | frozenset(some["path"])
    return some if put(table.objects, Manifest(index.number + 1, runs, covered)) else None


def _with_run(
    objects: ObjectStore, runs: Sequence[Run], rows: pl.DataFrame, most_merged: int | None
) -> tuple[Run, ...]:
    """The runs with the entries of these rows."""
    entries = entries_of(rows)
    if not entries.keys.size:
        return tuple(runs)
    larger = sorted(runs, key=lambda run: run.entries)
    merged_runs, size = list[Run](), int(entries.keys.size)
    while larger and larger[0].entries <= _SIZE_RATIO * size:
        if most_merged is not None and size + larger[0].entries > most_merged:
            break
        size += larger[0].entries
        merged_runs.append(larger.pop(0))
    new = write_run(objects, _new_key(), iter([entries]))
    return (merge(objects, [new, *merged_runs]), *larger) if merged_runs else (new, *larger)


def merge(objects: ObjectStore, runs: Sequence[Run]) -> Run:
    """One run with the entries of all of these."""
    return write_run(objects, _new_key(), merged(runs))


def _new_key() -> str:
    return f"{RUNS}{uuid.uuid4()}.run"
