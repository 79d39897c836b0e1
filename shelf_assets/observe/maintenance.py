"""What the tables' upkeep did, or would do, as rows for people. The upkeep itself belongs in `lake.upkeep`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import Policy, due, maintain
from shelf_assets.lake.schemas import TABLES

Row = tuple[int | str, ...]


def rows_due(lake: Lake, policy: Policy) -> Iterator[Row]:
    """table, rows, files, MB, log entries, days to pack, files to delete, MB to free; changes nothing."""
    for name in TABLES:
        found = due(lake.table(name), policy)
        if found is not None:
            now, freed_bytes = found.health, sum(stored.size_bytes for stored in found.unneeded)
            sizes = (now.rows, now.files, _mb(now.data_bytes), now.log_entries)
            yield (name, *sizes, len(found.partitions), len(found.unneeded), _mb(freed_bytes))


def rows_done(lake: Lake, policy: Policy, notice: Callable[[str], None]) -> Iterator[Row]:
    """The same after upkeep of each table, before → after where something changed; `notice` hears what was left."""
    for name in TABLES:
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
