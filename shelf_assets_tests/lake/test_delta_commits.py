"""Concurrent commits on disk and on S3: no row is lost or written twice, and a conflicting commit is evaluated again."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

import polars as pl
import pytest

from shelf_assets.lake import delta
from shelf_assets.lake.delta import CommitConflict, LakeTable
from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE, TableSpec
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, photo, photos, prediction, predictions, stage_runs
from shelf_assets_tests.lake.writers import PROCESSES, commit_grown, commit_rows, commit_runs, together

OTHER_DAY = DAY + timedelta(days=1)
# The first commits already conflict with seven others; more commits take longer and cover no further case.
COMMITS_EACH = 4


def test_concurrent_processes_write_every_commit_once(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    writers = [(lake.lake, f"w{n}", COMMITS_EACH, DAY + timedelta(days=n // 2)) for n in range(PROCESSES)]
    counts = together(processes, commit_runs, writers)
    stored = lake.lake.table("stage_runs").scan().collect()
    assert sum(counts) == stored.height == PROCESSES * COMMITS_EACH
    assert stored["run_id"].n_unique() == stored.height


def test_concurrent_table_creation_keeps_every_row(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    cases = [(lake.lake, "stage_runs", stage_runs([f"w{n}"], DAY + timedelta(days=n))) for n in range(PROCESSES)]
    assert together(processes, commit_rows, cases) == [1] * PROCESSES
    assert lake.lake.table("stage_runs").scan().collect().height == PROCESSES


def test_concurrent_column_additions_keep_every_row(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    lake.lake.table("stage_runs").commit(stage_runs(["old"]))
    assert together(processes, commit_grown, [(lake.lake, f"w{n}", DAY) for n in range(PROCESSES)]) == [1] * PROCESSES
    stored = pl.read_delta(lake.lake.table("stage_runs").uri, storage_options=dict(lake.lake.storage_options))
    assert sorted(stored["run_id"]) == ["old", *(f"w{n}" for n in range(PROCESSES))]
    assert stored.filter(run_id="old")["energy_joules"].to_list() == [None]


def test_day_run_by_many_is_written_once(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    rows = predictions(prediction(f"i{n}") for n in range(20))
    counts = together(processes, commit_rows, [(lake.lake, "classifications", rows)] * PROCESSES)
    assert sorted(counts) == [0] * (PROCESSES - 1) + [20]
    assert lake.lake.table("classifications").scan().collect().height == 20


def test_same_bytes_on_concurrent_days_are_accepted_once(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    days = [DAY + timedelta(days=n) for n in range(PROCESSES)]
    cases = [(lake.lake, "raw_images", photos([photo("a", "same", day), photo("b", day, day)])) for day in days]
    assert together(processes, commit_rows, cases) == [2] * PROCESSES
    stored = lake.lake.table("raw_images").scan().collect()
    same = stored.filter(pl.col("key").str.ends_with("/a"))
    assert sorted(same["status"]) == [ACCEPTED] + [DUPLICATE] * (PROCESSES - 1)
    assert set(same["duplicate_of"].drop_nulls()) == set(same.filter(status=ACCEPTED)["image_id"])
    assert stored.filter(pl.col("key").str.ends_with("/b"))["status"].to_list() == [ACCEPTED] * PROCESSES


class Interloper:
    """Replaces a table's rule: commits other rows between a commit's read and its write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, table: LakeTable, rows: list[pl.DataFrame]) -> None:
        self.rule, self.rows, self.decisions = table.rule, rows, 0
        self.other = LakeTable(table.spec, table.uri, table.storage_options)
        table.rule = self
        monkeypatch.setattr(delta, "LONGEST_PAUSE_SECONDS", 0.01)

    def __call__(self, incoming: pl.DataFrame, known: KnownRows, spec: TableSpec) -> Change | None:
        change = self.rule(incoming, known, spec)
        self.decisions += 1
        if self.rows:
            self.other.commit(self.rows.pop())
        return change


def test_commit_between_read_and_write_is_evaluated_again(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("raw_images")
    meanwhile = photos([photo("a", "same", OTHER_DAY)])
    watch = Interloper(monkeypatch, table, [meanwhile])
    table.commit(photos([photo("a", "same")]))
    assert watch.decisions == 2, "the rule must be called again after a conflict"
    assert dict(table.scan().select("day", "status").collect().iter_rows()) == {DAY: DUPLICATE, OTHER_DAY: ACCEPTED}


def test_predictions_of_one_day_by_two_runs_are_stored_once(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.lake.table("classifications")
    table.commit(predictions([prediction("z")]))
    meanwhile = predictions([prediction("a"), prediction("b")])
    Interloper(monkeypatch, table, [meanwhile])
    commit = table.commit(predictions([prediction("b"), prediction("c")]))
    assert commit.committed and commit.rows_new == 1
    assert sorted(table.scan().collect()["image_id"]) == ["a", "b", "c", "z"]


def test_predictions_of_two_days_do_not_conflict(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("classifications")
    meanwhile = predictions([prediction("a", day=OTHER_DAY)])
    watch = Interloper(monkeypatch, table, [meanwhile])
    assert table.commit(predictions([prediction("a")])).rows_new == 1
    assert watch.decisions == 1, "a commit of another day must not conflict"
    assert table.scan().collect().height == 2


def test_rewritten_day_keeps_rows_committed_meanwhile(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.lake.table("classifications")
    table.commit(predictions([prediction("a", "old bytes")]))
    meanwhile = predictions([prediction("late")])
    Interloper(monkeypatch, table, [meanwhile])
    table.commit(predictions([prediction("a", "new bytes")]))
    assert sorted(table.scan().collect()["label"]) == ["a new bytes", "late bytes"]


def test_endless_conflicts_raise_commit_conflict(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = disk_lake.lake.table("classifications")
    meanwhile = [predictions([prediction(f"other{n}")]) for n in range(5)]
    Interloper(monkeypatch, table, meanwhile)
    monkeypatch.setattr(delta, "MAX_ATTEMPTS", 3)
    with pytest.raises(CommitConflict, match=r"classifications: 3 commits in a row lost.*run it again"):
        table.commit(predictions([prediction("mine")]))
    assert "mine" not in table.scan().collect()["image_id"]
