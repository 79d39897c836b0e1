"""Table maintenance on disk and on S3: fewer files with the same rows, also beside writers and concurrent maintenance."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from shelf_assets.lake import delta, maintenance
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import Policy, RowsChanged, due, health, maintain, vacuum
from shelf_assets.lake.purge import purge
from shelf_assets.lake.rules.change import same_rows
from shelf_assets.lake.schemas import ACCEPTED
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, photo, photos, prediction, predictions
from shelf_assets_tests.lake.writers import PROCESSES, commit_rows, commit_runs, maintain_often, together

OTHER_DAY = DAY + timedelta(days=1)
SMALL_FILE_BYTES = 1_000_000
# In tests no query is running, so files may be deleted at once; the settings require at least a day.
AT_ONCE = Policy(SMALL_FILE_BYTES, keep=timedelta(0))
A_WEEK = Policy(SMALL_FILE_BYTES, keep=timedelta(days=7))


def many_appends(table: LakeTable, appends: int = 5) -> pl.DataFrame:
    """Commit a day in `appends` files and another day in one; returns the stored rows."""
    for number in range(appends):
        table.commit(predictions([prediction(f"a{number}"), prediction(f"b{number}")]))
    table.commit(predictions([prediction("c", day=OTHER_DAY)]))
    return rows_of(table)


def rows_of(table: LakeTable) -> pl.DataFrame:
    return table.scan().sort("day", "image_id", "model_digest").collect()


def keys_of(table: LakeTable) -> set[str]:
    return {stored.key for stored in table.objects.list("") if stored.key.startswith("day=")}


def folder(table: LakeTable) -> Path:
    return Path(table.uri.removeprefix("file://"))


def backdate(path: Path, days: int) -> None:
    moment = time.time() - timedelta(days=days).total_seconds()
    os.utime(path, (moment, moment))


def test_packing_keeps_rows_and_touches_small_files_only(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    report = maintain(table, A_WEEK)
    assert report is not None
    assert rows_of(table).equals(rows)
    (packed,) = report.packed
    assert (packed.partition, packed.rows, packed.files_before, packed.files_after) == (DAY, 10, 5, 1)
    assert packed.version == report.after.version == report.before.version + 1
    assert (report.before.files, report.before.small_files) == (6, 5)
    assert (report.after.files, report.after.small_files) == (2, 0)
    assert report.before.rows == report.after.rows == 11
    assert packed.bytes_after < packed.bytes_before
    assert report.vacuumed == (), "replaced files must be kept for a week"


def test_second_maintenance_commits_nothing(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    maintain(table, AT_ONCE)
    version, objects = table.version(), {stored.key for stored in table.objects.list("")}
    again = maintain(table, AT_ONCE)
    assert again is not None and again.did_nothing
    assert again.before == again.after
    assert table.version() == version
    assert {stored.key for stored in table.objects.list("")} == objects
    assert rows_of(table).equals(rows)


def test_listing_due_maintenance_changes_nothing(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    many_appends(table)
    table.commit(predictions([prediction("a0", "new bytes")]))
    table.commit(predictions([prediction("late")]))
    objects = {stored.key for stored in table.objects.list("")}
    found = due(table, AT_ONCE)
    assert found is not None
    assert found.partitions == (DAY,)
    assert len(found.unneeded) == 5, "the five files of the day that were replaced for the new bytes are unneeded"
    assert {stored.key for stored in table.objects.list("")} == objects


def test_maintenance_of_a_missing_table_creates_none(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    assert maintain(table, AT_ONCE) is None
    assert due(table, AT_ONCE) is None
    assert table.version() is None


def test_maintenance_of_an_empty_table_does_nothing(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    table.commit(predictions([]))
    report = maintain(table, AT_ONCE)
    assert report is not None
    assert (report.after.files, report.after.rows, report.packed) == (0, 0, ())


def test_day_of_large_files_is_not_rewritten_for_one_small_file(disk_lake: LakeUnderTest) -> None:
    table = disk_lake.lake.table("classifications")
    many_appends(table)
    maintain(table, AT_ONCE)
    table.commit(predictions([prediction("late")]))
    found = health(table, Policy(small_file_bytes=3_600, keep=timedelta(0)))
    assert found is not None and (found.files, found.small_files) == (3, 0)


def test_vacuum_deletes_only_old_unneeded_files(disk_lake: LakeUnderTest) -> None:
    table = disk_lake.lake.table("classifications")
    rows = many_appends(table)
    needed = keys_of(table)
    orphans = [folder(table) / f"day={DAY}" / name for name in ("killed-long-ago.parquet", "being-written-now.parquet")]
    for orphan in orphans:
        orphan.write_bytes(b"half a file")
    for path in folder(table).rglob("*.parquet"):
        backdate(path, days=100)
    backdate(orphans[1], days=0)
    deleted = vacuum(table, A_WEEK)
    assert [stored.key for stored in deleted] == [f"day={DAY}/killed-long-ago.parquet"]
    assert keys_of(table) == needed | {f"day={DAY}/being-written-now.parquet"}
    assert rows_of(table).equals(rows)


def test_vacuum_reports_exactly_the_deleted_files(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    before = keys_of(table)
    report = maintain(table, AT_ONCE)
    assert report is not None
    assert before - keys_of(table) == {stored.key for stored in report.vacuumed}
    assert (len(report.vacuumed), report.vacuumed_bytes) == (5, report.packed[0].bytes_before)
    assert rows_of(table).equals(rows)


def test_vacuum_tolerates_a_file_deleted_by_another(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    maintenance.pack_small_files(table, AT_ONCE)
    find = maintenance.unneeded_files

    def found_but_another_was_first(*asked: object) -> object:
        unneeded = find(*asked)  # type: ignore[arg-type]
        table.objects.delete([unneeded[0].key])
        return unneeded

    monkeypatch.setattr(maintenance, "unneeded_files", found_but_another_was_first)
    vacuum(table, AT_ONCE)
    assert len(keys_of(table)) == 2
    assert rows_of(table).equals(rows)


def test_maintenance_keeps_rows_of_a_folder_with_a_space(tmp_path: Path) -> None:
    table = Lake((tmp_path / "a lake").as_uri()).table("classifications")
    rows = many_appends(table)
    report = maintain(table, AT_ONCE)
    assert report is not None and len(report.vacuumed) == 5
    assert rows_of(table).equals(rows)


def test_checkpoint_is_written_once_and_keeps_versions(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    found = health(table, A_WEEK)
    assert found is not None and found.log_entries == table.version() + 1  # type: ignore[operator]
    assert maintenance.write_checkpoint(table)
    assert not maintenance.write_checkpoint(table), "without a new commit there must be no new checkpoint"
    table.commit(predictions([prediction("late")]))
    found = health(table, A_WEEK)
    assert found is not None and found.log_entries == 1
    earlier = table.open(table.version() - 1)  # type: ignore[operator]
    assert table.scan(opened=earlier).collect().height == rows.height


@pytest.mark.parametrize("checkpoint", [False, True])
def test_expired_log_is_deleted_only_after_a_checkpoint(disk_lake: LakeUnderTest, checkpoint: bool) -> None:
    table = disk_lake.lake.table("classifications")
    rows = many_appends(table)
    if checkpoint:
        maintenance.write_checkpoint(table)
    for path in (folder(table) / "_delta_log").iterdir():
        backdate(path, days=40)
    removed = maintenance.remove_expired_log(table)
    assert removed == (table.version() if checkpoint else 0)
    assert rows_of(table).equals(rows)
    assert table.commit(predictions([prediction("late")])).committed
    assert table.commit(predictions([prediction("late")])).committed is False
    assert maintenance.remove_expired_log(table) == 0


class Meanwhile:
    """Replaces `same_rows`: runs other commits after a day was read for packing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, commits: list[Callable[[], object]]) -> None:
        self.commits, self.readings = commits, 0
        monkeypatch.setattr(delta, "same_rows", self)
        monkeypatch.setattr(delta, "LONGEST_PAUSE_SECONDS", 0.01)

    def __call__(self, *asked: object) -> object:
        change = same_rows(*asked)  # type: ignore[arg-type]
        self.readings += 1
        if self.commits:
            self.commits.pop()()
        return change


def test_row_committed_during_packing_is_kept(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    late = predictions([prediction("late")])
    watch = Meanwhile(monkeypatch, [lambda: lake.lake.table("classifications").commit(late)])
    report = maintain(table, AT_ONCE)
    assert report is not None
    assert watch.readings == 2, "the day must be read again after a conflict"
    assert [(packed.files_before, packed.rows) for packed in report.packed] == [(6, 11)]
    assert rows_of(table).equals(pl.concat([rows, late]).sort("day", "image_id"))


def test_purge_right_after_the_packing_commit_does_not_disturb_it(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    rewrite = LakeTable.rewrite

    def then_purged(self: LakeTable, *args: Any, **named: Any) -> delta.Commit:
        commit = rewrite(self, *args, **named)
        purge(lake.lake.table("classifications"))
        return commit

    monkeypatch.setattr(LakeTable, "rewrite", then_purged)
    packed, skipped = maintenance.pack_small_files(table, AT_ONCE)
    assert ([each.rows for each in packed], skipped) == ([10], ())
    assert rows_of(table).equals(rows)


def test_packed_file_that_is_replaced_and_purged_at_once_is_decided_again(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.lake.table("classifications")
    many_appends(table)
    rewrite = LakeTable.rewrite

    def then_replaced(self: LakeTable, *args: Any, **named: Any) -> delta.Commit:
        commit = rewrite(self, *args, **named)
        other = lake.lake.table("classifications")
        other.commit(predictions([prediction("a0", "new bytes")]))
        purge(other)
        return commit

    monkeypatch.setattr(LakeTable, "rewrite", then_replaced)
    assert maintenance.pack_small_files(table, AT_ONCE) == ((), ()), "the newer commit left one file"
    assert rows_of(table).height == 11


def test_packed_file_that_nobody_replaced_but_cannot_be_read_is_an_error(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = disk_lake.lake.table("classifications")
    many_appends(table)
    rewrite = LakeTable.rewrite

    def then_lost(self: LakeTable, *args: Any, **named: Any) -> delta.Commit:
        commit = rewrite(self, *args, **named)
        for path in folder(table).rglob("*.parquet"):
            path.unlink()
        return commit

    monkeypatch.setattr(LakeTable, "rewrite", then_lost)
    with pytest.raises((OSError, pl.exceptions.PolarsError)):
        maintenance.pack_small_files(table, AT_ONCE)


def test_photo_of_another_day_is_kept_during_packing(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("raw_images")
    table.commit(photos([photo("a", 1)]))
    # The rule of raw_images leaves one file per day, so the second file is written without it.
    arrow = photos([photo("b", 2)]).to_arrow(compat_level=pl.CompatLevel.oldest())
    delta.write_deltalake(table.open(), arrow, mode="append")  # type: ignore[arg-type]
    other = photos([photo("c", 1, OTHER_DAY), photo("d", 4, OTHER_DAY)])
    Meanwhile(monkeypatch, [lambda: lake.lake.table("raw_images").commit(other)])
    report = maintain(table, AT_ONCE)
    assert report is not None and len(report.packed) == 1
    statuses = dict(table.scan().select(pl.col("key").str.slice(-1), "status").collect().iter_rows())
    assert statuses == {"a": ACCEPTED, "b": ACCEPTED, "c": "duplicate", "d": ACCEPTED}


def test_busy_day_is_skipped_and_reported(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = disk_lake.lake.table("classifications")
    many_appends(table)
    busy = [
        lambda n=number: disk_lake.lake.table("classifications").commit(predictions([prediction(f"late{n}")]))
        for number in range(maintenance.PACK_ATTEMPTS)
    ]
    Meanwhile(monkeypatch, busy)
    report = maintain(table, A_WEEK)
    assert report is not None
    assert report.packed == ()
    assert report.skipped == (
        f"{DAY}: other writers won {maintenance.PACK_ATTEMPTS} commits; it is packed the next time",
    )
    assert report.after.rows == rows_of(table).height == 11 + maintenance.PACK_ATTEMPTS


def test_day_packed_by_another_is_not_packed_again(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table)
    Meanwhile(monkeypatch, [lambda: maintain(lake.lake.table("classifications"), A_WEEK)])
    version = table.version()
    report = maintain(table, A_WEEK)
    assert report is not None
    assert report.packed == ()
    assert table.version() == version + 1  # type: ignore[operator]
    assert rows_of(table).equals(rows)


def test_changed_rows_are_reported_and_old_files_kept(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = disk_lake.lake.table("classifications")
    rows = many_appends(table)
    version = table.version()

    def mangled(*asked: object) -> object:
        change = same_rows(*asked)  # type: ignore[arg-type]
        assert change is not None
        return delta.Change(change.rows.with_columns(confidence=pl.lit(0.25, pl.Float32)), change.replaced_days)

    monkeypatch.setattr(delta, "same_rows", mangled)
    with pytest.raises(RowsChanged, match=rf"classifications {DAY}: version {version + 1}.*restore\({version}\)"):  # type: ignore[operator]
        maintain(table, AT_ONCE)
    DeltaTable(table.uri).restore(version)  # type: ignore[arg-type]
    assert rows_of(table).equals(rows), "no file may be deleted, so that the version can be restored"


def test_concurrent_writers_and_maintenance_keep_every_row_once(
    lake: LakeUnderTest, processes: ProcessPoolExecutor
) -> None:
    """Two concurrent OPTIMIZE calls of delta-rs would silently duplicate every row."""
    writers, commits = PROCESSES - 2, 8
    tend_in_turn = [_call(maintain_often, lake.lake, "stage_runs", A_WEEK, 6)] * 2
    write = [_call(commit_runs, lake.lake, f"w{n}", commits, DAY + timedelta(days=n // 3)) for n in range(writers)]
    counts = together(processes, _called, [*tend_in_turn, *write])
    rows = lake.lake.table("stage_runs").scan().collect()
    assert sum(counts[2:]) == rows.height == writers * commits
    assert rows["run_id"].n_unique() == rows.height
    assert all(count is not None for count in counts[:2])
    report = maintain(lake.lake.table("stage_runs"), AT_ONCE)
    assert report is not None and report.after.files == 2
    assert lake.lake.table("stage_runs").scan().collect().sort("run_id").equals(rows.sort("run_id"))


def test_concurrent_maintenance_keeps_every_row_once(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    table = lake.lake.table("classifications")
    rows = many_appends(table, appends=12)
    together(processes, maintain_often, [(lake.lake, "classifications", A_WEEK, 1)] * PROCESSES)
    assert rows_of(table).equals(rows)
    found = health(table, A_WEEK)
    assert found is not None and (found.files, found.rows) == (2, rows.height)


def test_day_rewritten_during_packing_keeps_the_new_rows(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    table = lake.lake.table("classifications")
    many_appends(table)
    changed = [predictions([prediction(f"a{number}", "new bytes")]) for number in range(5)]
    tending = [_call(maintain_often, lake.lake, "classifications", A_WEEK, 4)] * 2
    together(
        processes, _called, [*tending, *(_call(commit_rows, lake.lake, "classifications", rows) for rows in changed)]
    )
    labels = rows_of(table).filter(day=DAY)["label"].to_list()
    assert labels == [f"a{number} new bytes" for number in range(5)] + [f"b{number} bytes" for number in range(5)]


def _call(work: Callable, *case: object) -> tuple:
    return work, case


def _called(work: Callable, case: tuple) -> object:
    return work(*case)
