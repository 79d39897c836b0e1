"""Table maintenance: the health of a table, and the packing, vacuuming and checkpointing that restore it, with a report.

Maintenance adds, changes or drops no row; how a commit is made safe belongs in `delta`, physical erasure in `purge`.
Everything may run beside writers, may be killed at any point, and does nothing where nothing is due.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable

from shelf_assets.lake.data_files import data_files
from shelf_assets.lake.deletion import delete_objects
from shelf_assets.lake.delta import CommitConflict, LakeTable
from shelf_assets.lake.errors import store_errors
from shelf_assets.lake.hash_index.build import IndexReport
from shelf_assets.lake.hash_index.build import maintain as maintain_index
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.settings import LakeSettings
from shelf_assets.lake.table_files import count_log_entries, log_objects, unneeded_files

log = logging.getLogger(__name__)

# Writers must not wait for maintenance more often than this; a busy day is packed the next time.
PACK_ATTEMPTS = 5

# A day, or None: the one partition of a table without days.
Partition = date | None


class RowsChanged(RuntimeError):
    """A packed partition holds other rows than before; the message names the version to restore."""


@dataclass(frozen=True)
class Policy:
    """Below which size a file is small, and how long a file is kept after no newer version needs it.

    `keep` must be longer than any run and any query: a reader may still use the version that names the file.
    """

    small_file_bytes: int
    keep: timedelta

    @classmethod
    def of(cls, settings: LakeSettings) -> Policy:
        return cls(settings.small_file_bytes, timedelta(days=settings.keep_files_days))


@dataclass(frozen=True)
class Health:
    """A table at one version. `small_files` share their partition with another small one, so that packing reduces them;
    `log_entries` are the commits since the last checkpoint, all of which a reader of the table must read."""

    version: int
    files: int
    small_files: int
    data_bytes: int
    rows: int
    log_entries: int
    log_files: int


@dataclass(frozen=True)
class Due:
    """A table's health, and what `maintain` would do now: partitions to pack, files to delete."""

    health: Health
    partitions: tuple[Partition, ...]
    unneeded: tuple[StoredObject, ...]


@dataclass(frozen=True)
class Packed:
    """A partition whose files were packed by the commit `version`; its rows were read back and are the same as before."""

    partition: Partition
    version: int
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class MaintenanceReport:
    """What maintenance did to a table. `skipped` are sentences about partitions that other writers kept busy;
    `hash_index` is None for a table without one."""

    table: str
    before: Health
    after: Health
    packed: tuple[Packed, ...]
    skipped: tuple[str, ...]
    vacuumed: tuple[StoredObject, ...]
    checkpoint_written: bool
    log_files_removed: int
    hash_index: IndexReport | None

    @property
    def vacuumed_bytes(self) -> int:
        return sum(file.size_bytes for file in self.vacuumed)

    @property
    def did_nothing(self) -> bool:
        is_index_unchanged = self.hash_index is None or self.hash_index.did_nothing
        return is_index_unchanged and not (
            self.packed or self.vacuumed or self.checkpoint_written or self.log_files_removed
        )


def maintain(table: LakeTable, policy: Policy) -> MaintenanceReport | None:
    """Do what is due, in an order in which a failure leaves the table whole; None for a table that does not exist."""
    before = health(table, policy)
    if before is None:
        return None
    packed, skipped = pack_small_files(table, policy)
    vacuumed = vacuum(table, policy)
    hash_index = maintain_index(table) if table.is_indexed else None
    checkpoint_written = write_checkpoint(table)
    removed = remove_expired_log(table)
    after = health(table, policy) or before
    changed = (packed, skipped, vacuumed, checkpoint_written, removed, hash_index)
    return MaintenanceReport(table.spec.name, before, after, *changed)


def due(table: LakeTable, policy: Policy) -> Due | None:
    """What `maintain` would do now, beside a checkpoint; None for a table that does not exist. Changes nothing."""
    opened = table.open()
    found = health(table, policy)
    if opened is None or found is None:
        return None
    return Due(found, _partitions_to_pack(data_files(opened), policy), unneeded_files(table, opened, policy.keep))


def health(table: LakeTable, policy: Policy) -> Health | None:
    """The table now; None before its first commit."""
    opened = table.open()
    if opened is None:
        return None
    files = data_files(opened)
    return Health(
        version=opened.version(),
        files=files.height,
        small_files=_small(files, policy).height,
        data_bytes=int(files["bytes"].sum()),
        rows=int(files["rows"].sum()),
        log_entries=count_log_entries(table),
        log_files=sum(1 for _ in log_objects(table)),
    )


def pack_small_files(table: LakeTable, policy: Policy) -> tuple[tuple[Packed, ...], tuple[str, ...]]:
    """Rewrite every partition that has two or more small files, one commit each.

    Returns the packed partitions, and a sentence for each one that other writers kept busy. The rows of each partition are
    read back before and after its commit: RowsChanged if a row differs.
    """
    packed: list[Packed] = []
    skipped: list[str] = []
    for partition in _partitions_to_pack(data_files(table.open()), policy):
        try:
            packed += _pack(table, partition, policy)
        except CommitConflict:
            skipped.append(
                f"{_name_of(partition)}: other writers won {PACK_ATTEMPTS} commits; it is packed the next time"
            )
    return tuple(packed), tuple(skipped)


def vacuum(table: LakeTable, policy: Policy) -> tuple[StoredObject, ...]:
    """Delete the files that no version of the last `policy.keep` needs, and return them; makes no new version."""
    opened = table.open()
    unneeded = unneeded_files(table, opened, policy.keep) if opened else ()
    delete_objects(table.objects, [stored.key for stored in unneeded])
    return unneeded


def write_checkpoint(table: LakeTable) -> bool:
    """Summarise the log in one file, so that readers read that instead of every commit; False if nothing is new."""
    opened = table.open()
    if opened is None or not count_log_entries(table):
        return False
    with store_errors(f"writing a checkpoint of table {table.spec.name}", table.uri):
        opened.create_checkpoint()
    return True


def remove_expired_log(table: LakeTable) -> int:
    """Delete the log entries that are older than Delta's 30 days and part of a checkpoint; returns their number."""
    opened = table.open()
    if opened is None:
        return 0
    before = sum(1 for _ in log_objects(table))
    with store_errors(f"removing old log entries of table {table.spec.name}", table.uri):
        opened.cleanup_metadata()
    return before - sum(1 for _ in log_objects(table))


def _pack(table: LakeTable, partition: Partition, policy: Policy) -> list[Packed]:
    """Pack the partition; an empty list if another process has packed it meanwhile. Raises CommitConflict."""
    before: _PartitionAt | None = None

    def needed(opened: DeltaTable) -> bool:
        nonlocal before
        if partition not in _partitions_to_pack(data_files(opened), policy):
            return False
        # Read before our commit: once it has replaced these files, a purge may delete them at once.
        before = _at(table, partition, opened)
        return True

    for _ in range(PACK_ATTEMPTS):
        info = {"maintenance": f"packed {_name_of(partition)}"}
        commit = table.rewrite(partition, needed=needed, attempts=PACK_ATTEMPTS, info=info)
        if not commit.committed:
            return []
        assert before is not None  # `needed` has read it for the version that was rewritten
        try:
            after = _at(table, partition, table.open(commit.version))
        except (OSError, pl.exceptions.PolarsError) as error:
            # A purge deletes what a newer version has replaced, our packed files too.
            if table.version() == commit.version:
                raise
            log.info("%s: version %s cannot be read back (%s)", table.spec.name, commit.version, error)
            continue
        return [_compared(table, partition, commit.version, before, after)]
    raise CommitConflict(f"{table.spec.name}: {PACK_ATTEMPTS} packings of {_name_of(partition)} were replaced at once")


def _compared(
    table: LakeTable, partition: Partition, version: int, before: _PartitionAt, after: _PartitionAt
) -> Packed:
    """What the commit `version` did. Raises RowsChanged."""
    # No other commit to this partition lies between the two: its lock would have refused ours.
    if before.digest != after.digest:
        raise RowsChanged(
            f"{table.spec.name} {_name_of(partition)}: version {version} does not hold the rows of version {version - 1}. "
            f"Nothing is deleted; stop the writers and go back by DeltaTable('{table.uri}').restore({version - 1})"
        )
    files, size = (before.files, after.files), (before.size_bytes, after.size_bytes)
    return Packed(partition, version, after.digest[0], *files, *size)


class _PartitionAt(NamedTuple):
    """A partition at one version: its files, and the number of its rows with a digest of all values in any order."""

    files: int
    size_bytes: int
    digest: tuple[int, int]


def _at(table: LakeTable, partition: Partition, opened: DeltaTable | None) -> _PartitionAt:
    files = data_files(opened).filter(pl.col("day").eq_missing(pl.lit(partition, pl.Date)))
    frame = table.scan(partition, partition, opened=opened)
    counted = frame.select(rows=pl.len(), digest=pl.struct(pl.all()).hash().sum())
    rows, digest = counted.collect(engine="streaming").row(0)
    return _PartitionAt(files.height, int(files["bytes"].sum()), (rows, digest))


def _small(files: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    small = files.filter(pl.col("bytes") < policy.small_file_bytes)
    return small.filter(pl.len().over("day") > 1)


def _partitions_to_pack(files: pl.DataFrame, policy: Policy) -> tuple[Partition, ...]:
    return tuple(_small(files, policy)["day"].unique().sort())


def _name_of(partition: Partition) -> str:
    return "the table" if partition is None else str(partition)
