"""Files of a Delta table: data files of a version, files that no version needs, log entries. When they are deleted belongs in
`maintenance` and `purge`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
from deltalake import DeltaTable

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.errors import StoreUnavailable, store_errors
from shelf_assets.lake.object_store import StoredObject

_COMMIT = re.compile(r"_delta_log/(\d{20})\.json")
_CHECKPOINT = re.compile(r"_delta_log/(\d{20})\.checkpoint\..*parquet")


_FILE_SCHEMA = {"path": pl.String, "bytes": pl.Int64, "rows": pl.Int64, "day": pl.Date}


def data_files(opened: DeltaTable | None) -> pl.DataFrame:
    """path, bytes, rows and day (null for a table without days) of every file of the version."""
    if opened is None or not opened.file_uris():
        return pl.DataFrame(schema=_FILE_SCHEMA)
    actions = pl.DataFrame(opened.get_add_actions(flatten=True))
    day = pl.col("partition.day") if "partition.day" in actions.columns else pl.lit(None)
    return actions.select(path="path", bytes="size_bytes", rows="num_records", day=day.cast(pl.Date))


def unneeded_files(
    table: LakeTable, opened: DeltaTable, keep: timedelta, *, replaced_only: bool = False
) -> tuple[StoredObject, ...]:
    """Existing data files that no version of the last `keep` needs; with `replaced_only` those that a commit has replaced.

    Without `replaced_only` they include files that no commit names: of killed writers, and of writers that have not
    committed yet. delta-rs lists the files; its own vacuum deletes files that it has deleted before, and makes a version
    of the table each time.
    """
    with store_errors(f"looking for unneeded files of table {table.spec.name}", table.uri):
        hours = int(keep / timedelta(hours=1))
        named = opened.vacuum(
            retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=not replaced_only
        )
    needed = set(data_files(opened)["path"])
    unneeded = set(named) - needed
    oldest = datetime.now(UTC) - keep
    return tuple(stored for stored in table.objects.list("") if stored.key in unneeded and stored.received_at <= oldest)


def delete_objects(table: LakeTable, objects: Sequence[StoredObject]) -> None:
    """Delete objects of the table's folder; those that another process has just deleted are no error."""
    keys = [stored.key for stored in objects]
    while keys:
        try:
            return table.objects.delete(keys)
        except StoreUnavailable:
            # On disk, deleting a file that does not exist is an error.
            left = [key for key in keys if table.objects.exists(key)]
            if len(left) == len(keys):
                raise
            keys = left


def log_versions(table: LakeTable) -> Iterator[tuple[int, StoredObject]]:
    """The commits (.json) and checkpoints (.parquet) of the table's log, each with its version."""
    for stored in log_objects(table):
        if match := _COMMIT.fullmatch(stored.key) or _CHECKPOINT.fullmatch(stored.key):
            yield int(match[1]), stored


def log_objects(table: LakeTable) -> Iterator[StoredObject]:
    return table.objects.list("_delta_log/")


def count_log_entries(table: LakeTable) -> int:
    """The number of commits after the newest checkpoint."""
    found = [(version, stored.key.endswith(".parquet")) for version, stored in log_versions(table)]
    checkpoint = max((version for version, is_checkpoint in found if is_checkpoint), default=-1)
    return sum(version > checkpoint for version, is_checkpoint in found if not is_checkpoint)
