"""Updates of the index: it stays complete if a builder is killed, and beside concurrent writers and builders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.hash_index import build, manifest
from shelf_assets.lake.hash_index.manifest import FOLDER, Manifest, newest, put
from shelf_assets.lake.hash_index.rows import IndexedRows
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE
from shelf_assets.lake.maintenance import Policy, maintain
from shelf_assets.lake.object_store import ObjectStore, Upload
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.lake.purge import purge
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, photo, photos, sha
from shelf_assets_tests.lake.writers import PROCESSES, commit_copies, together

AT_ONCE = Policy(small_file_bytes=1_000_000, keep=timedelta(0))
DAYS = [DAY + timedelta(days=n) for n in range(6)]


def a_table(lake: Lake) -> LakeTable:
    """A table with one new photo per day, and a copy of the first photo on each day."""
    table = lake.table("raw_images")
    for day in DAYS:
        table.commit(photos([photo("a", day, day), photo("copy", "same", day)]))
    return table


def known(table: LakeTable) -> IndexedRows:
    rows = table.known_rows()
    assert isinstance(rows, IndexedRows)
    return rows


def found_days(table: LakeTable, content: object) -> list[object]:
    return known(table).accepted_with(pl.Series([sha(content)])).collect()["day"].to_list()


def index_keys(table: LakeTable) -> set[str]:
    return {stored.key for stored in table.objects.list(FOLDER)}


def test_maintenance_covers_every_file_and_finds_nothing_to_do_again(lake: LakeUnderTest) -> None:
    table = a_table(lake.lake)
    report = build.maintain(table)
    # Each day has two hashes and two groups; the copies have the group of the first photo.
    assert (report.covered_files, report.covered_rows, report.runs, report.entries) == (6, 12, 1, 24)
    assert known(table).uncovered.is_empty()
    keys = index_keys(table)
    again = build.maintain(table)
    assert again.did_nothing and again.entries == report.entries
    assert index_keys(table) == keys


def test_maintenance_covers_the_index_and_keeps_its_files(lake: LakeUnderTest) -> None:
    table = a_table(lake.lake)
    report = maintain(table, AT_ONCE)
    assert report is not None and report.hash_index is not None
    assert report.hash_index.covered_files == 6
    table.commit(photos([photo("b", "new", DAYS[0])]))
    report = maintain(table, AT_ONCE)
    assert report is not None and report.hash_index is not None
    assert report.hash_index.covered_files == 1 and report.vacuumed
    again = maintain(table, AT_ONCE)
    assert again is not None and again.did_nothing
    index = newest(table.objects)
    assert index is not None and all(table.objects.exists(run.key) for run in index.runs)
    assert found_days(table, DAYS[2]) == [DAYS[2]]


def test_a_lake_in_a_folder_with_a_space_has_an_index(tmp_path: Path) -> None:
    table = a_table(Lake((tmp_path / "my lake").as_uri()))
    assert build.maintain(table).covered_files == 6
    assert found_days(table, DAYS[4]) == [DAYS[4]]


def test_other_tables_have_no_index(disk_lake: LakeUnderTest) -> None:
    table = disk_lake.lake.table("classifications")
    table.commit(table.spec.empty())
    report = maintain(table, AT_ONCE)
    assert report is not None and report.hash_index is None
    assert index_keys(table) == set()


def test_runs_stay_few_while_a_table_grows(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = disk_lake.lake.table("raw_images")
    monkeypatch.setattr(build, "MOST_UNCOVERED_FILES", 0)
    for n in range(30):
        table.commit(photos([photo(f"{n}-{k}", f"{n} {k}") for k in range(5)]))
    index = newest(table.objects)
    assert index is not None and len(index.runs) <= 4


def test_unneeded_files_are_deleted_after_an_hour(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    table = a_table(disk_lake.lake)
    build.maintain(table)
    table.commit(photos([photo("b", "new", DAYS[0])]))
    build.maintain(table)
    assert len(index_keys(table)) == 5, "expected two manifests, the merged run, and the two runs that were merged"
    monkeypatch.setattr(manifest, "KEEP_UNNEEDED", timedelta(0))
    assert build.maintain(table).deleted_objects == 3
    index = newest(table.objects)
    assert index is not None
    assert index_keys(table) == {index.runs[0].key, f"{FOLDER}manifests/{index.number:020}.json"}
    assert found_days(table, "new") == [DAYS[0]]


def test_of_two_builders_at_once_one_wins_and_nothing_is_lost(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, slow = a_table(lake.lake), build.write_run
    others = iter([True])

    def beaten(*args: Any) -> Any:
        if next(others, False):
            build.maintain(lake.lake.table("raw_images"))
        return slow(*args)

    monkeypatch.setattr(build, "write_run", beaten)
    assert build.maintain(table).covered_files == 0, "the other builder has covered all files"
    assert known(table).uncovered.is_empty()
    assert found_days(table, DAYS[3]) == [DAYS[3]]


@pytest.mark.parametrize("is_replaced", [True, False])
def test_files_that_a_purge_deletes_while_they_are_read_are_looked_for_again(
    is_replaced: bool, disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, scan_files = a_table(disk_lake.lake), LakeTable.scan_files
    firsts = iter([True])

    def purged_before(self: LakeTable, paths: Any) -> pl.LazyFrame:
        if next(firsts, False):
            if is_replaced:
                table.commit(photos([photo("b", "new", DAYS[0])]))
                purge(table)
            else:
                Path(table.uri.removeprefix("file://"), paths[0]).unlink()
        return scan_files(self, paths)

    monkeypatch.setattr(LakeTable, "scan_files", purged_before)
    if is_replaced:
        build.maintain(table)
        assert known(table).uncovered.is_empty()
        assert found_days(table, "new") == [DAYS[0]]
    else:
        with pytest.raises((OSError, pl.exceptions.PolarsError)):
            build.maintain(table)


def test_a_manifest_is_never_replaced_by_another_of_its_number(lake: LakeUnderTest) -> None:
    store = lake.lake.table("raw_images").objects
    assert put(store, Manifest(0, (), frozenset({"first"})))
    assert not put(store, Manifest(0, (), frozenset({"second"})))
    found = newest(store)
    assert found is not None and found.covered == {"first"}


class Killed(BaseException):
    """Ends the work at this point, like a kill."""


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, work: Callable[[], object]) -> bool:
    """Do the work and end it before its write request number `step` (from 0); returns whether it was ended."""
    requests = iter(range(step))

    def killing(method: Callable[..., Any]) -> Callable[..., Any]:
        def request(*args: Any, **named: Any) -> Any:
            if next(requests, None) is None:
                raise Killed
            return method(*args, **named)

        return request

    with monkeypatch.context() as patch:
        for owner, name in (
            (ObjectStore, "open_writer"),
            (Upload, "write"),
            (ObjectWriter, "create"),
            (ObjectStore, "delete"),
        ):
            patch.setattr(owner, name, killing(getattr(owner, name)))
        try:
            work()
        except Killed:
            return True
    return False


def test_maintenance_that_is_killed_anywhere_leaves_a_whole_index(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = a_table(disk_lake.lake)
    build.maintain(table)
    monkeypatch.setattr(manifest, "KEEP_UNNEEDED", timedelta(0))
    kills = 0
    while True:
        table.commit(photos([photo(f"b{kills}", f"new {kills}", DAYS[kills % 6])]))
        if not killed_at(monkeypatch, kills, lambda: build.maintain(table)):
            break
        assert found_days(table, f"new {kills}") == [DAYS[kills % 6]]
        assert found_days(table, DAYS[1]) == [DAYS[1]]
        kills += 1
    assert kills >= 7, "expected at least seven write requests: two runs, the manifest, the deletion"
    assert known(table).uncovered.is_empty()


@pytest.mark.slow
def test_no_bytes_are_accepted_twice_by_eight_writers_while_the_index_is_built(
    lake: LakeUnderTest, processes: ProcessPoolExecutor
) -> None:
    """Each writer commits the same bytes under its own names and days, while two builders update the index."""
    table = a_table(lake.lake)
    maintain(table, AT_ONCE)
    is_over, reports = threading.Event(), list[build.IndexReport]()

    def build_always() -> None:
        while not is_over.is_set():
            reports.append(build.maintain(lake.lake.table("raw_images")))

    builders = [threading.Thread(target=build_always) for _ in range(2)]
    for builder in builders:
        builder.start()
    commits, copies = 4, 5
    try:
        cases = [(lake.lake, writer, commits, copies) for writer in range(PROCESSES)]
        counts = together(processes, commit_copies, cases)
    finally:
        is_over.set()
        for builder in builders:
            builder.join()
    rows = table.scan().collect()
    assert sum(counts) == PROCESSES * commits * (copies + 1)
    assert rows.height == sum(counts) + 2 * len(DAYS)
    accepted = rows.filter(status=ACCEPTED)
    assert accepted["sha256"].is_unique().all()
    assert set(accepted["sha256"]) == set(rows["sha256"])
    pointed = rows.filter(status=DUPLICATE).join(
        accepted, left_on=["duplicate_of", "sha256"], right_on=["image_id", "sha256"], how="semi"
    )
    assert pointed.height == rows.height - accepted.height
    assert sum(report.covered_files for report in reports) > 0, "the index must have been built during the commits"
