"""Erasure of rows on disk and on S3: beside writers, repeated, and with a search of all bytes of the table's folder."""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from shelf_assets.lake import delta
from shelf_assets.lake.delta import Erased, LakeTable
from shelf_assets.lake.duckdb_delta import prepare_connection
from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.maintenance import Policy, maintain
from shelf_assets.lake.purge import purge
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.rules.erase_rows import erase_rows
from shelf_assets.lake.schemas import TableSpec
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, photo, photos, prediction, predictions, stage_runs
from shelf_assets_tests.lake.specs import PRODUCTS, SETTINGS, fact, facts, settings, table_of
from shelf_assets_tests.lake.writers import (
    PROCESSES,
    commit_runs,
    commit_to,
    erase_from,
    erase_runs,
    maintain_often,
    together,
)

OTHER_DAY = DAY + timedelta(days=1)
POLICY = Policy(small_file_bytes=1_000_000, keep=timedelta(days=7))


def ids(*names: str) -> pl.DataFrame:
    return pl.DataFrame({"image_id": names})


def files_of(table: LakeTable, day: object) -> set[str]:
    return {stored.key for stored in table.objects.list(f"day={day}/")}


def test_rows_are_erased_on_every_day_and_counted(lake: LakeUnderTest) -> None:
    table = lake.lake.table("classifications")
    third = OTHER_DAY + timedelta(days=1)
    table.commit(predictions([prediction("a"), prediction("a", model="n"), prediction("b")]))
    table.commit(predictions([prediction("a", day=OTHER_DAY), prediction("c", day=third)]))
    before = files_of(table, third)

    erased = table.erase(ids("a", "unknown"), info={"job": "j1"})

    assert (dict(erased.rows_by_day), erased.rows) == ({DAY: 2, OTHER_DAY: 1}, 3)
    assert sorted(table.scan().collect()["image_id"]) == ["b", "c"]
    assert files_of(table, third) == before, "a day without the key must not be rewritten"
    assert erased.version == table.version()
    again = table.erase(ids("a"))
    assert again == Erased({}, erased.version), "a repeated erasure must not create a version"
    opened = table.open()
    assert opened is not None and opened.history(1)[0]["job"] == "j1"


def test_a_table_that_does_not_exist_has_nothing_to_erase(disk_lake: LakeUnderTest) -> None:
    table = disk_lake.lake.table("classifications")
    assert table.erase(ids("a")) == Erased()
    assert table.version() is None
    assert purge(table) is None


def test_rows_of_tables_without_days_are_erased(lake: LakeUnderTest) -> None:
    table = table_of(lake.lake, SETTINGS)
    table.commit(settings({"a": "1"}))
    table.commit(settings({"b": "2"}))
    assert dict(table.erase(pl.DataFrame({"name": ["a"]})).rows_by_day) == {None: 1}
    assert table.scan().collect().rows() == [("b", "2")]
    products = table_of(lake.lake, PRODUCTS)
    products.commit(facts([fact("p", "x", 0), fact("q", "y", 0)]))
    products.commit(facts([fact("p", "z", 2)]))
    assert products.erase(pl.DataFrame({"product_id": ["p"]})).rows == 2
    assert products.scan().collect()["product_id"].to_list() == ["q"]


def test_a_row_that_is_committed_while_its_day_is_erased_is_kept(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.lake.table("classifications")
    table.commit(predictions([prediction("a"), prediction("b")]))
    late = [predictions([prediction("late")])]
    calls = []

    def interrupted(*asked: object) -> object:
        change = erase_rows(*asked)  # type: ignore[arg-type]
        calls.append(change)
        if late:
            lake.lake.table("classifications").commit(late.pop())
        return change

    monkeypatch.setattr(delta, "erase_rows", interrupted)
    assert table.erase(ids("a")).rows == 1
    assert len(calls) == 2, "the day must be read again after a conflict"
    assert sorted(table.scan().collect()["image_id"]) == ["b", "late"]


def test_concurrent_erase_loses_no_other_row_and_stays_final(
    lake: LakeUnderTest, processes: ProcessPoolExecutor
) -> None:
    table = lake.lake.table("stage_runs")
    doomed = [f"doomed-{n}" for n in range(12)]
    for n, run_id in enumerate(doomed):
        table.commit(stage_runs([run_id], DAY + timedelta(days=n % 2)))
    erase = [(erase_runs, (lake.lake, doomed[n::2])) for n in range(2)]
    maintenance = [(maintain_often, (lake.lake, "stage_runs", POLICY, 4))]
    writers = [(commit_runs, (lake.lake, f"w{n}", 6, DAY + timedelta(days=n % 2))) for n in range(PROCESSES - 3)]

    counts = together(processes, _called, [*erase, *maintenance, *writers])

    assert sum(counts[:2]) == len(doomed)
    expected = {f"w{n}-{m}" for n in range(PROCESSES - 3) for m in range(6)}
    remaining = table.scan().collect()["run_id"].to_list()
    assert sorted(remaining) == sorted(expected)


def test_rows_of_one_table_without_days_are_erased_beside_its_writers(
    lake: LakeUnderTest, processes: ProcessPoolExecutor
) -> None:
    table = table_of(lake.lake, PRODUCTS)
    table.commit(facts(fact(f"doomed-{n}", "x", start) for n in range(4) for start in range(2)))
    keys = [pl.DataFrame({"product_id": [f"doomed-{n}"]}) for n in range(4)]
    erase = [(erase_from, (lake.lake, "products", keys[n::2])) for n in range(2)]
    added = [facts([fact("p", f"n{n}", n), fact(f"own-{n}", "x", 0)]) for n in range(PROCESSES - 2)]
    writers = [(commit_to, (lake.lake, "products", rows)) for rows in added]

    counts = together(processes, _called, [*erase, *writers])

    assert counts == [4, 4, *([2] * (PROCESSES - 2))]
    rows = table.scan().sort("product_id", "valid_from").collect()
    assert rows.filter(product_id="p")["name"].to_list() == [f"n{n}" for n in range(PROCESSES - 2)]
    assert rows.height == 2 * (PROCESSES - 2)


def _called(work, case: tuple) -> object:  # type: ignore[no-untyped-def]
    return work(*case)


def contents(table: LakeTable) -> dict[str, bytes]:
    """The bytes of every object in the table's folder; Parquet files also decoded."""
    found = {}
    for stored in table.objects.list(""):
        data = table.objects.get(stored.key)
        decoded = (
            json.dumps(pl.read_parquet(io.BytesIO(data)).to_dicts(), default=str) if "parquet" in stored.key else ""
        )
        found[stored.key] = data + decoded.encode()
    return found


def hits(table: LakeTable, canary: str) -> list[str]:
    return [key for key, data in contents(table).items() if canary.encode() in data]


@pytest.mark.parametrize("checkpoint", [False, True], ids=["log only", "with a checkpoint"])
def test_after_erase_and_purge_no_byte_of_the_folder_holds_the_value(lake: LakeUnderTest, checkpoint: bool) -> None:
    table = lake.lake.table("classifications")
    canary = f"zz-{secrets.token_hex(16)}"
    table.commit(predictions([prediction("b"), prediction(canary)]))
    table.commit(predictions([prediction("b", "new bytes")]))
    table.commit(predictions([prediction(canary, day=OTHER_DAY), prediction("c", day=OTHER_DAY)]))
    if checkpoint:
        maintain(table, POLICY)
    table.commit(predictions([prediction("late", day=OTHER_DAY)]))

    assert table.erase(ids(canary)).rows == 2

    before = hits(table, canary)
    assert any(key.endswith(".parquet") and key.startswith("day=") for key in before)
    assert any(key.startswith("_delta_log/") for key in before)
    report = purge(table, longest_commit=timedelta(0))
    assert report is not None and report.remaining == ()
    assert set(before) <= {stored.key for stored in (*report.data_files, *report.log_files)}
    assert hits(table, canary) == []
    assert sorted(table.scan().collect()["label"]) == ["b new bytes", "c bytes", "late bytes"]
    with duckdb.connect() as connection:
        prepare_connection(connection, lake.url, lake.settings.lake.aws_environment())
        assert connection.execute(f"SELECT count(*) FROM delta_scan('{table.uri}')").fetchall() == [(3,)]
    assert table.commit(predictions([prediction("later")])).rows_new == 1
    assert table.scan().collect().height == 4


def test_a_commit_whose_files_are_purged_while_it_reads_them_decides_again(lake: LakeUnderTest) -> None:
    table, other = lake.lake.table("classifications"), lake.lake.table("classifications")
    table.commit(predictions([prediction("a"), prediction("b", "old bytes")]))
    rule, calls = table.rule, []

    def interrupted(incoming: pl.DataFrame, known: KnownRows, spec: TableSpec) -> Change | None:
        calls.append(incoming)
        if len(calls) == 1:
            other.erase(ids("a"))
            purge(other)
        return rule(incoming, known, spec)

    table.rule = interrupted
    assert table.commit(predictions([prediction("b", "new bytes")])).rows_new == 1
    assert len(calls) == 2
    assert table.scan().collect()["label"].to_list() == ["b new bytes"]


def test_purge_of_a_table_with_validity_leaves_no_byte_of_an_erased_product(lake: LakeUnderTest) -> None:
    table = table_of(lake.lake, PRODUCTS)
    canary = f"zz-{secrets.token_hex(16)}"
    for start in range(3):
        table.commit(facts([fact(canary, canary, start), fact(f"q{start}", "y", start)]))
    table.erase(pl.DataFrame({"product_id": [canary]}))
    assert hits(table, canary)
    purge(table, longest_commit=timedelta(0))
    assert hits(table, canary) == []
    assert table.scan().collect().height == 3


def test_purge_leaves_no_part_of_an_erased_photos_hash_in_the_hash_index(lake: LakeUnderTest) -> None:
    table = lake.lake.table("raw_images")
    erased, kept = photo("erased", "erased bytes"), photo("kept", "kept bytes", perceptual_hash=1 << 40)
    table.commit(photos([erased, kept]))
    maintain(table, POLICY)

    def indexed(row: dict[str, object]) -> list[str]:
        """Objects of the index that contain the indexed part of a photo's SHA-256."""
        part = np.uint64(int(str(row["sha256"])[:16], 16))
        parts = [part.tobytes(), part.byteswap().tobytes()]
        runs = {each.key: table.objects.get(each.key) for each in table.objects.list("_hash_index/")}
        return [key for key, data in runs.items() if any(each in data for each in parts)]

    assert indexed(erased) and indexed(kept)
    table.erase(ids(str(erased["image_id"])))
    assert indexed(erased), "the index still covers the old file"
    report = purge(table, longest_commit=timedelta(0))
    assert report is not None and {each.key for each in report.index_files} > set()
    assert indexed(erased) == [] and indexed(kept)
    assert is_known(table, kept) and not is_known(table, erased)
    assert purge(table) == type(report)((), (), (), ()), "a second purge must not build the index again"


def is_known(table: LakeTable, row: dict[str, object]) -> bool:
    return table.known_rows().accepted_with(pl.Series([row["sha256"]])).collect().height == 1


def test_purge_keeps_what_a_running_writer_may_need_and_reports_it(disk_lake: LakeUnderTest) -> None:
    table = disk_lake.lake.table("classifications")
    table.commit(predictions([prediction("a"), prediction("b")]))
    table.erase(ids("a"))
    folder = Path(table.uri.removeprefix("file://"))
    unfinished = folder / f"day={DAY}" / "being-written-now.parquet"
    unfinished.write_bytes(b"half a file")

    report = purge(table)

    assert report is not None
    assert [stored.key.startswith("day=") for stored in report.data_files] == [True], "expected the replaced file"
    assert unfinished.exists() and report.log_files == ()
    assert {stored.key for stored in report.remaining} == {
        f"day={DAY}/being-written-now.parquet",
        *(f"_delta_log/{version:020}.json" for version in range(table.version() or 0)),
    }
    moment = time.time() - timedelta(hours=2).total_seconds()
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))
    again = purge(table)
    assert again is not None and again.remaining == () and not unfinished.exists()
    assert table.scan().collect()["image_id"].to_list() == ["b"]
    assert purge(table) == type(again)((), (), (), ()), "a further purge must delete nothing"
