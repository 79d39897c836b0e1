"""Files of a Delta table that its newest version does not read: files that no version needs, and the log. When they are deleted
belongs in `maintenance` and `purge`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from deltalake import DeltaTable

from shelf_assets.lake.data_files import data_files
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.errors import store_errors
from shelf_assets.lake.object_store import StoredObject

_COMMIT = re.compile(r"_delta_log/(\d{20})\.json")
_CHECKPOINT = re.compile(r"_delta_log/(\d{20})\.checkpoint\..*parquet")


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
