"""Reports of table maintenance, done or due, as rows for people. Maintenance itself is in `lake.maintenance`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import Policy, due, maintain
from shelf_assets.registry import tables

Row = tuple[int | str, ...]


def rows_due(lake: Lake, policy: Policy) -> Iterator[Row]:
    """One row per table: name, rows, files, MB, log entries, days to pack, files to delete, MB to free. Changes nothing."""
    for name in tables():
        found = due(lake.table(name), policy)
        if found is not None:
            now, freed_bytes = found.health, sum(stored.size_bytes for stored in found.unneeded)
            sizes = (now.rows, now.files, _mb(now.data_bytes), now.log_entries)
            yield (name, *sizes, len(found.partitions), len(found.unneeded), _mb(freed_bytes))


def rows_done(lake: Lake, policy: Policy, notice: Callable[[str], None]) -> Iterator[Row]:
    """Maintain each table and yield its row: as in `rows_due`, with before → after for each value that changed.

    `notice` is called with one sentence for each day that was skipped.
    """
    for name in tables():
        done = maintain(lake.table(name), policy)
        if done is not None:
            before, after = done.before, done.after
            sizes = (
                after.rows,
                _change(f"{before.files:,}", f"{after.files:,}"),
                _change(_mb(before.data_bytes), _mb(after.data_bytes)),
                _change(f"{before.log_entries:,}", f"{after.log_entries:,}"),
            )
            yield (name, *sizes, len(done.packed), len(done.vacuumed), _mb(done.vacuumed_bytes))
            for sentence in done.skipped:
                notice(f"{name} {sentence}")


def _change(before: str, after: str) -> str:
    return after if before == after else f"{before} → {after}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f}"
