"""Physical erasure: delete the data files and the log entries that still contain rows which `LakeTable.erase` removed.

After an erasure the values remain in older data files, in the column statistics of older log entries, in older
checkpoints, and parts of hashes in the hash index. `maintenance.maintain` deletes the files after `Policy.keep`, and log
entries after Delta's 30 days; `purge` deletes all of them at once. It makes no new version. Objects of a bucket with
versioning are kept by the bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shelf_assets.lake.deletion import delete_objects
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.hash_index.build import forget_replaced_files
from shelf_assets.lake.maintenance import write_checkpoint
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.table_files import log_versions, unneeded_files

# A running commit may need the log entries since the version that it has read, and its own files are in no log entry yet.
# Commits take seconds; an hour covers a process that was suspended.
LONGEST_COMMIT = timedelta(hours=1)


@dataclass(frozen=True)
class PurgeReport:
    """Deleted data files, log files and files of the hash index. `remaining` are too young to be deleted beside writers.

    The erasure is complete when `remaining` is empty; call `purge` again after `longest_commit`.
    """

    data_files: tuple[StoredObject, ...]
    log_files: tuple[StoredObject, ...]
    index_files: tuple[StoredObject, ...]
    remaining: tuple[StoredObject, ...]


def purge(table: LakeTable, longest_commit: timedelta = LONGEST_COMMIT) -> PurgeReport | None:
    """Delete every file that the newest version does not need; None for a table that does not exist.

    Data files that a commit has replaced are deleted at once: a query on an older version fails then, and earlier versions
    cannot be restored. Unknown data files (of a killed or running writer) and log entries from before a new checkpoint are
    deleted when they are older than `longest_commit`; zero is safe only while nothing writes.
    """
    opened = table.open()
    if opened is None:
        return None
    replaced = unneeded_files(table, opened, keep=timedelta(0), replaced_only=True)
    delete_objects(table.objects, [stored.key for stored in replaced])
    write_checkpoint(table)
    unknown = unneeded_files(table, opened, keep=timedelta(0))
    superseded = _log_before_checkpoint(table)
    oldest = datetime.now(UTC) - longest_commit
    data_files = tuple(stored for stored in unknown if stored.received_at <= oldest)
    log_files = tuple(stored for stored in superseded if stored.received_at <= oldest)
    delete_objects(table.objects, [stored.key for stored in (*data_files, *log_files)])
    remaining = tuple(stored for stored in (*unknown, *superseded) if stored.received_at > oldest)
    index_files = forget_replaced_files(table) if table.is_indexed else ()
    return PurgeReport((*replaced, *data_files), log_files, index_files, remaining)


def _log_before_checkpoint(table: LakeTable) -> tuple[StoredObject, ...]:
    """The log entries and checkpoints of versions before the newest checkpoint."""
    checkpoint = max((version for version, stored in log_versions(table) if stored.key.endswith(".parquet")), default=0)
    return tuple(stored for version, stored in log_versions(table) if version < checkpoint)
