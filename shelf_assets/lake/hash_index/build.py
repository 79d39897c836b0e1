"""Updates of the index: new data files become a run, runs are merged, files that no manifest names are deleted.

Everything may run beside writers and other builders, and may be killed at any point: the index changes only by a new
manifest, which is written atomically. Of concurrent builders one wins; the others discard their work and start again.

Runs are merged as in a log-structured merge tree (O'Neil et al. 1996): a new run absorbs runs that are not much larger
than itself. So there are few runs, and an entry is written a few times for each tenfold growth of the table.
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

# How far the index may fall behind: each look-up also reads the hashes of so many files and rows.
MOST_UNCOVERED_FILES = 16
MOST_UNCOVERED_ROWS = 250_000
# Most that one step reads: 100 MB of hashes and groups, 50 MB of entries.
ROWS_AT_ONCE = 1_000_000
# Most that a commit may merge, which takes about 0.2 s; table maintenance merges larger runs.
ENTRIES_MERGED_BY_COMMIT = 1_000_000
# A run absorbs runs of up to so many times its size. A look-up reads a block of each run for each hash, so few runs matter more
# than few merges: at 5,000 photos a day, a week's run is merged with 100 million existing entries once a year.
_SIZE_RATIO = 64


class IndexedTable(Protocol):
    """The part of raw_images that the index uses."""

    @property
    def objects(self) -> ObjectStore: ...

    def open(self) -> DeltaTable | None: ...

    def scan_files(self, paths: Sequence[str]) -> pl.LazyFrame: ...


@dataclass(frozen=True)
class IndexReport:
    """The changes by maintenance, and the index's size afterwards."""

    covered_files: int
    covered_rows: int
    deleted_objects: int
    runs: int
    entries: int

    @property
    def did_nothing(self) -> bool:
        return not (self.covered_files or self.deleted_objects)


def is_behind(rows: IndexedRows) -> bool:
    """Whether the index lacks so much of this version that a commit should update it."""
    missing = rows.uncovered
    return missing.height > MOST_UNCOVERED_FILES or missing["rows"].sum() > MOST_UNCOVERED_ROWS


def help_along(table: IndexedTable) -> None:
    """Cover some of the files that the index lacks, with bounded work, after a commit.

    A failure is only logged: the commit's rows are written, and the next commit or maintenance catches up.
    """
    try:
        _mend(table.objects)
        _cover_some(table, ENTRIES_MERGED_BY_COMMIT)
        delete_objects(table.objects, unneeded(table.objects, datetime.now(UTC)))
    except (StoreUnavailable, OSError, pl.exceptions.PolarsError) as error:
        log.warning("raw_images: the hash index stays behind (%s)", error)


def maintain(table: IndexedTable) -> IndexReport:
    """Cover every data file of the table, merge runs and delete unneeded files. Builds the index if there is none."""
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
    """Rebuild the index if it covers data files that the newest version does not read, which may contain erased rows.

    Returns the deleted objects of the old index. Files that a concurrent builder has written but not named yet are deleted
    as unneeded later.
    """
    index, opened = newest(table.objects), table.open()
    if index is None or opened is None or index.covered <= set(data_files(opened)["path"]):
        return ()
    before = list(table.objects.list(FOLDER))
    if put(table.objects, Manifest(index.number + 1, (), frozenset())):
        maintain(table)
    # Readers of the old index start again if a run is gone.
    named = {run.key for run in index.runs}
    forgotten = tuple(stored for stored in before if stored.key in named or not stored.key.startswith(RUNS))
    delete_objects(table.objects, [stored.key for stored in forgotten])
    return forgotten


def _mend(objects: ObjectStore) -> None:
    """Empty the index if a run is lost, because the files that it covered are unknown."""
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
    """The runs, with a new one for the entries of these rows."""
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
    """Merge runs into one."""
    return write_run(objects, _new_key(), merged(runs))


def _new_key() -> str:
    return f"{RUNS}{uuid.uuid4()}.run"
