"""How a table is kept small and quick: its health, and the packing, vacuuming and checkpointing that restore it, with evidence.

No row is made, changed or dropped here, and how a commit is made safe belongs in `delta`. Everything may run beside
writers, may be killed anywhere, and does nothing where nothing is due.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable

from shelf_assets.lake.delta import CommitConflict, LakeTable
from shelf_assets.lake.errors import StoreUnavailable, explained
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.settings import LakeSettings

# A day that writers are busy with is packed next time: they must not wait for us more often than this.
PACK_ATTEMPTS = 5

_COMMIT = re.compile(r"_delta_log/(\d{20})\.json")
_CHECKPOINT = re.compile(r"_delta_log/(\d{20})\.checkpoint\..*parquet")


class RowsChanged(RuntimeError):
    """A packed day does not hold the rows it held before; the message names the version to go back to."""


@dataclass(frozen=True)
class Policy:
    """What is small, and how long a file that no version needs any more is kept.

    `keep` must be longer than any run and any query: a reader may still hold the version that names the file.
    """

    small_file_bytes: int
    keep: timedelta

    @classmethod
    def of(cls, settings: LakeSettings) -> Policy:
        return cls(settings.small_file_bytes, timedelta(days=settings.keep_files_days))


@dataclass(frozen=True)
class Health:
    """A table at one version. `small_files` share their day with another small one, so that packing makes them fewer;
    `log_entries` are the commits since the last checkpoint, all of which whoever opens the table must read."""

    version: int
    files: int
    small_files: int
    data_bytes: int
    rows: int
    log_entries: int
    log_files: int


@dataclass(frozen=True)
class Due:
    """A table's health, and what `tend` would do now: days to pack, files to delete."""

    health: Health
    days: tuple[date, ...]
    unneeded: tuple[StoredObject, ...]


@dataclass(frozen=True)
class Packed:
    """A day whose files were packed by the commit `version`; its rows were read back and are the ones of before."""

    day: date
    version: int
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class MaintenanceReport:
    """What upkeep did to a table. `skipped` are sentences about days that other writers kept busy."""

    table: str
    before: Health
    after: Health
    packed: tuple[Packed, ...]
    skipped: tuple[str, ...]
    vacuumed: tuple[StoredObject, ...]
    checkpoint_written: bool
    log_files_removed: int

    @property
    def vacuumed_bytes(self) -> int:
        return sum(file.size_bytes for file in self.vacuumed)

    @property
    def did_nothing(self) -> bool:
        return not (self.packed or self.vacuumed or self.checkpoint_written or self.log_files_removed)


def maintain(table: LakeTable, policy: Policy) -> MaintenanceReport | None:
    """Do what is due, in an order in which a failure leaves the table whole; None for a table that is not there yet."""
    before = health(table, policy)
    if before is None:
        return None
    packed, skipped = pack_small_files(table, policy)
    vacuumed = vacuum(table, policy)
    checkpoint_written = write_checkpoint(table)
    removed = remove_expired_log(table)
    after = health(table, policy) or before
    return MaintenanceReport(table.spec.name, before, after, packed, skipped, vacuumed, checkpoint_written, removed)


def due(table: LakeTable, policy: Policy) -> Due | None:
    """What `tend` would do now, beside a checkpoint; None for a table that is not there yet. Changes nothing."""
    opened = table.open()
    found = health(table, policy)
    if opened is None or found is None:
        return None
    return Due(found, _days_to_pack(_files(opened), policy), _unneeded(table, opened, policy))


def health(table: LakeTable, policy: Policy) -> Health | None:
    """The table now; None before its first commit."""
    opened = table.open()
    if opened is None:
        return None
    files = _files(opened)
    return Health(
        version=opened.version(),
        files=files.height,
        small_files=_small(files, policy).height,
        data_bytes=int(files["bytes"].sum()),
        rows=int(files["rows"].sum()),
        log_entries=_log_entries(table),
        log_files=sum(1 for _ in _log(table)),
    )


def pack_small_files(table: LakeTable, policy: Policy) -> tuple[tuple[Packed, ...], tuple[str, ...]]:
    """Rewrite every day that has two or more small files, a commit each; days that others keep busy are told and left.

    Each day is read back, before and after its commit, from what rests: RowsChanged if a row differs.
    """
    packed: list[Packed] = []
    skipped: list[str] = []
    for day in _days_to_pack(_files(table.open()), policy):
        try:
            packed += _pack(table, day, policy)
        except CommitConflict:
            skipped.append(f"{day}: other writers won {PACK_ATTEMPTS} commits; it is packed the next time")
    return tuple(packed), tuple(skipped)


def vacuum(table: LakeTable, policy: Policy) -> tuple[StoredObject, ...]:
    """Delete the files that no version of the last `policy.keep` needs, and return them; no new version is made."""
    opened = table.open()
    unneeded = _unneeded(table, opened, policy) if opened else ()
    _delete(table, [file.key for file in unneeded])
    return unneeded


def write_checkpoint(table: LakeTable) -> bool:
    """Sum up the log in one file, so that opening the table reads that instead of every commit; False when it is there."""
    opened = table.open()
    if opened is None or not _log_entries(table):
        return False
    with explained(f"writing a checkpoint of table {table.spec.name}", table.uri):
        opened.create_checkpoint()
    return True


def remove_expired_log(table: LakeTable) -> int:
    """Delete the log entries that are older than Delta's 30 days and that a checkpoint has summed up; how many went."""
    opened = table.open()
    if opened is None:
        return 0
    before = sum(1 for _ in _log(table))
    with explained(f"removing old log entries of table {table.spec.name}", table.uri):
        opened.cleanup_metadata()
    return before - sum(1 for _ in _log(table))


def _pack(table: LakeTable, day: date, policy: Policy) -> list[Packed]:
    """The day, packed; nothing where somebody else packed it meanwhile."""
    commit = table.rewrite(
        day,
        needed=lambda opened: day in _days_to_pack(_files(opened), policy),
        attempts=PACK_ATTEMPTS,
        info={"upkeep": f"packed {day}"},
    )
    if not commit.committed:
        return []
    version = commit.version
    # No other commit to this day can lie between the two: the lock of the day would have refused ours.
    before, after = (_at(table, day, each) for each in (version - 1, version))
    if before.digest != after.digest:
        raise RowsChanged(
            f"{table.spec.name} {day}: version {version} does not hold the rows of version {version - 1}. Nothing is deleted; "
            f"stop the writers and go back by DeltaTable('{table.uri}').restore({version - 1})"
        )
    files, size = (before.files, after.files), (before.size_bytes, after.size_bytes)
    return [Packed(day, version, after.digest[0], *files, *size)]


class _DayAt(NamedTuple):
    """A day at one version: its files, and how many rows it has beside a digest of all their values in any order."""

    files: int
    size_bytes: int
    digest: tuple[int, int]


def _at(table: LakeTable, day: date, version: int) -> _DayAt:
    opened = table.open(version)
    files = _files(opened).filter(day=day)
    counted = table.scan(day, day, opened=opened).select(rows=pl.len(), digest=pl.struct(pl.all()).hash().sum())
    rows, digest = counted.collect(engine="streaming").row(0)
    return _DayAt(files.height, int(files["bytes"].sum()), (rows, digest))


_FILE_SCHEMA = {"path": pl.String, "bytes": pl.Int64, "rows": pl.Int64, "day": pl.Date}


def _files(opened: DeltaTable | None) -> pl.DataFrame:
    """path, bytes, rows and day of every file of the version."""
    if opened is None or not opened.file_uris():
        return pl.DataFrame(schema=_FILE_SCHEMA)
    actions = pl.DataFrame(opened.get_add_actions(flatten=True))
    return actions.select(
        path="path", bytes="size_bytes", rows="num_records", day=pl.col("partition.day").cast(pl.Date)
    )


def _small(files: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    small = files.filter(pl.col("bytes") < policy.small_file_bytes)
    return small.filter(pl.len().over("day") > 1)


def _days_to_pack(files: pl.DataFrame, policy: Policy) -> tuple[date, ...]:
    return tuple(_small(files, policy)["day"].unique().sort())


def _unneeded(table: LakeTable, opened: DeltaTable, policy: Policy) -> tuple[StoredObject, ...]:
    """delta-rs says which files no version needs; of those, the ones that are there, and that the newest version lacks.

    delta-rs' own vacuum deletes files that it has deleted before, and commits that, every time that it runs.
    """
    with explained(f"looking for unneeded files of table {table.spec.name}", table.uri):
        hours = int(policy.keep / timedelta(hours=1))
        named = opened.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=True)
    needed = set(_files(opened)["path"])
    unneeded = set(named) - needed
    oldest = datetime.now(UTC) - policy.keep
    return tuple(stored for stored in table.objects.list("") if stored.key in unneeded and stored.received_at <= oldest)


def _delete(table: LakeTable, keys: list[str]) -> None:
    while keys:
        try:
            return table.objects.delete(keys)
        except StoreUnavailable:
            # On disk a file that another upkeep has just deleted is an error.
            left = [key for key in keys if table.objects.exists(key)]
            if len(left) == len(keys):
                raise
            keys = left


def _log(table: LakeTable) -> Iterator[StoredObject]:
    return table.objects.list("_delta_log/")


def _log_entries(table: LakeTable) -> int:
    keys = [stored.key for stored in _log(table)]
    checkpoint = max(_versions(keys, _CHECKPOINT), default=-1)
    return sum(version > checkpoint for version in _versions(keys, _COMMIT))


def _versions(keys: Sequence[str], pattern: re.Pattern[str]) -> list[int]:
    return [int(match[1]) for key in keys if (match := pattern.fullmatch(key))]
