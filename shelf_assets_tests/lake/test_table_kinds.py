"""Tables of every kind on disk and on S3: by day, without partitions, with validity; one writer and several."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.duckdb_delta import prepare_connection
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import Policy, maintain
from shelf_assets.lake.schemas import Column, Partitioning, Rule, SchemaError, TableSpec, conform
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.specs import (
    DAY,
    PRICES,
    PRODUCTS,
    SETTINGS,
    fact,
    facts,
    moment,
    price,
    prices,
    settings,
    table_of,
)
from shelf_assets_tests.lake.writers import PROCESSES, commit_to, together

AT_ONCE = Policy(small_file_bytes=1_000_000, keep=timedelta(0))
FIRST_ROWS = {
    "settings": settings({"a": "1", "b": "2"}),
    "products": facts([fact("p", "old", 0), fact("q", "other", 0, 5)]),
    "prices": prices([price("p", 1.0), price("q", 2.0, DAY + timedelta(days=1))]),
}


def count_by_duckdb(lake: LakeUnderTest, table: LakeTable) -> int:
    with duckdb.connect() as connection:
        prepare_connection(connection, lake.url, lake.settings.lake.aws_environment())
        [(count,)] = connection.execute(f"SELECT count(*) FROM delta_scan('{table.uri}')").fetchall()
    return count


@pytest.mark.parametrize("spec", [SETTINGS, PRODUCTS, PRICES], ids=lambda spec: spec.name)
def test_each_kind_of_table_is_created_committed_once_and_read_by_polars_and_duckdb(
    lake: LakeUnderTest, spec: TableSpec
) -> None:
    table, rows = table_of(lake.lake, spec), FIRST_ROWS[spec.name]
    first = table.commit(rows)
    assert (first.committed, first.rows_new) == (True, 2)
    assert table.commit(rows).version == first.version, "the same rows must not create a version"
    assert_frame_equal(table.scan().sort(spec.key).collect(), rows.sort(spec.key))
    assert count_by_duckdb(lake, table) == 2
    opened = table.open()
    assert opened is not None
    assert opened.metadata().partition_columns == (["day"] if spec.is_by_day else [])
    assert (opened.protocol().min_reader_version, opened.protocol().min_writer_version) == (1, 2)
    assert "delta.enableDeletionVectors" not in opened.metadata().configuration


def test_a_changed_product_has_one_valid_version_at_each_moment(lake: LakeUnderTest) -> None:
    table = table_of(lake.lake, PRODUCTS)
    table.commit(facts([fact("p", "old", 0), fact("q", "other", 0)]))
    table.commit(facts([fact("p", "new", 6)]))
    assert table.commit(facts([fact("p", "late", 3)])).rows_new == 1
    names = [table.scan_valid_at(moment(hour)).filter(product_id="p").collect()["name"].to_list() for hour in (1, 4, 7)]
    assert names == [["old"], ["late"], ["new"]]
    assert table.scan_valid_at(moment(7)).collect().height == count_by_duckdb(lake, table) - 2 == 2
    assert table.scan_valid_at(moment(-1)).collect().is_empty()


def test_a_day_is_replaced_and_its_neighbour_stays(lake: LakeUnderTest) -> None:
    table, next_day = table_of(lake.lake, PRICES), DAY + timedelta(days=1)
    table.commit(FIRST_ROWS["prices"])
    table.commit(prices([price("r", 3.0)]), days=[DAY])
    assert sorted(table.scan().select("day", "product_id").collect().rows()) == [(DAY, "r"), (next_day, "q")]


def test_names_that_many_add_at_once_exist_once(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    rows = [settings({"shared": "x", f"own-{n}": str(n)}) for n in range(PROCESSES)]
    counts = together(processes, commit_to, [(lake.lake, "settings", each) for each in rows])
    assert sum(counts) == PROCESSES + 1
    names = table_of(lake.lake, SETTINGS).scan().collect()["name"].to_list()
    assert sorted(names) == sorted(["shared", *(f"own-{n}" for n in range(PROCESSES))])


def test_facts_that_many_add_at_once_make_one_history(lake: LakeUnderTest, processes: ProcessPoolExecutor) -> None:
    added = [facts([fact("p", f"n{n}", n), fact(f"own-{n}", "x", 0)]) for n in range(PROCESSES)]
    assert together(processes, commit_to, [(lake.lake, "products", each) for each in added]) == [2] * PROCESSES
    table = table_of(lake.lake, PRODUCTS).scan().sort("valid_from").collect()
    versions = table.filter(product_id="p")
    assert versions["name"].to_list() == [f"n{n}" for n in range(PROCESSES)]
    assert versions["valid_to"].to_list() == [*(moment(n) for n in range(1, PROCESSES)), None]
    assert table.filter(pl.col("product_id").str.starts_with("own")).height == PROCESSES


def test_a_day_that_many_replace_at_once_is_one_writers_day(
    lake: LakeUnderTest, processes: ProcessPoolExecutor
) -> None:
    days = [prices([price(f"p{n}-{m}", float(n)) for m in range(3)]) for n in range(PROCESSES)]
    assert together(processes, commit_to, [(lake.lake, "prices", day) for day in days]) == [3] * PROCESSES
    stored = table_of(lake.lake, PRICES).scan().sort("product_id").collect()
    assert any(stored.equals(day) for day in days)


@pytest.mark.parametrize("spec", [SETTINGS, PRODUCTS], ids=lambda spec: spec.name)
def test_a_table_without_days_is_packed_into_one_file_with_the_same_rows(lake: LakeUnderTest, spec: TableSpec) -> None:
    table = table_of(lake.lake, spec)
    for n in range(4):
        table.commit(settings({f"n{n}": "x"}) if spec is SETTINGS else facts([fact(f"p{n}", "x", 0)]))
    before = table.scan().sort(spec.key).collect()
    report = maintain(table, AT_ONCE)
    assert report is not None
    [packed] = report.packed
    assert (packed.partition, packed.files_before, packed.files_after, packed.rows) == (None, 4, 1, 4)
    assert len(report.vacuumed) == 4
    assert_frame_equal(table.scan().sort(spec.key).collect(), before)
    again = maintain(table, AT_ONCE)
    assert again is not None and again.did_nothing
    assert count_by_duckdb(lake, table) == 4


def test_a_table_without_days_in_a_folder_with_a_space_is_read(tmp_path: Path) -> None:
    table = table_of(Lake((tmp_path / "a lake").as_uri()), SETTINGS)
    table.commit(settings({"a": "1"}))
    assert table.scan().collect().rows() == [("a", "1")]


def test_days_of_a_table_without_days_and_moments_of_one_without_validity_are_refused(
    disk_lake: LakeUnderTest,
) -> None:
    table = table_of(disk_lake.lake, SETTINGS)
    with pytest.raises(SchemaError, match="settings has no days"):
        table.scan(DAY, DAY)
    with pytest.raises(SchemaError, match="settings has no days"):
        table.commit(settings({"a": "1"}), days=[DAY])
    with pytest.raises(SchemaError, match="settings has no validity"):
        table.scan_valid_at(moment(0))
    with pytest.raises(SchemaError, match="datetime with time zone"):
        table_of(disk_lake.lake, PRODUCTS).scan_valid_at(moment(0).replace(tzinfo=None))
    assert table.version() is None


def test_a_version_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SchemaError, match="products: valid_to must be later than valid_from"):
        conform(facts([fact("p", "x", 3, 3)]), PRODUCTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": Rule.MERGE_OBJECTS}, "needs a table partitioned by day"),
        ({"rule": Rule.SLOWLY_CHANGING}, "needs a table partitioned by validity"),
        ({"partitioning": Partitioning.DAY}, "`day` as its first column"),
        ({"partitioning": Partitioning.VALIDITY}, "has the columns `valid_from` and `valid_to`"),
    ],
)
def test_a_rule_that_does_not_fit_the_partitioning_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        dataclasses.replace(SETTINGS, **changes)


def test_a_table_that_is_partitioned_otherwise_is_not_written(disk_lake: LakeUnderTest) -> None:
    table_of(disk_lake.lake, PRICES).commit(FIRST_ROWS["prices"])
    without_days = dataclasses.replace(PRICES, rule=Rule.APPEND_MISSING, partitioning=Partitioning.NONE)
    with pytest.raises(SchemaError, match="is partitioned by day, but declared as partitioned by none"):
        table_of(disk_lake.lake, without_days).commit(prices([price("x", 1.0)]))


def test_a_table_with_deletion_vectors_is_not_written(disk_lake: LakeUnderTest) -> None:
    table = table_of(disk_lake.lake, SETTINGS)
    table.commit(settings({"a": "1"}))
    opened = DeltaTable(table.uri)
    opened.alter.set_table_properties({"delta.enableDeletionVectors": "true"})
    with pytest.raises(SchemaError, match="deletion vectors enabled"):
        table.commit(settings({"b": "2"}))


def test_a_new_column_of_a_table_without_days_keeps_its_rows(lake: LakeUnderTest) -> None:
    table_of(lake.lake, SETTINGS).commit(settings({"a": "1"}))
    columns = SETTINGS.columns | {"unit": Column(pl.String, "Unit.", nullable=True)}
    grown = table_of(lake.lake, dataclasses.replace(SETTINGS, columns=columns))
    grown.commit(settings({"b": "2"}).with_columns(unit=pl.lit("kg")))
    assert sorted(grown.scan().collect().rows()) == [("a", "1", None), ("b", "2", "kg")]
