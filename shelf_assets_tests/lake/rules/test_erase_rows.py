"""erase_rows against generated tables: exactly the rows with the given keys are gone, and nothing else changes."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.rules.erase_rows import erase_rows, rows_to_erase
from shelf_assets.lake.schemas import SchemaError
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS
from shelf_assets_tests.lake.rows import DAY, applied, prediction, predictions
from shelf_assets_tests.lake.specs import PRODUCTS, SETTINGS, fact, facts, settings

Row = dict[str, object]
rows_of_days = st.lists(
    st.builds(
        lambda name, model, day: prediction(f"i{name}", "bytes", f"m{model}", DAY + timedelta(days=day)),
        *(st.integers(0, 4), st.integers(0, 1), st.integers(0, 3)),
    ),
    max_size=12,
    unique_by=lambda row: tuple(row[name] for name in CLASSIFICATIONS.key),
)
image_ids = st.sets(st.integers(0, 6).map(lambda name: f"i{name}"), max_size=4)


def ids(names: set[str]) -> pl.DataFrame:
    return pl.DataFrame({"image_id": sorted(names)}, schema={"image_id": pl.String})


def in_order(table: pl.DataFrame) -> pl.DataFrame:
    return table.sort("day", "image_id", "model_digest")


@given(rows_of_days, image_ids)
def test_exactly_the_rows_with_a_key_are_erased(rows: list[Row], erased: set[str]) -> None:
    table = predictions(rows)
    change = erase_rows(ids(erased), ScannedRows(table.lazy()), CLASSIFICATIONS)
    expected = predictions(row for row in rows if row["image_id"] not in erased)
    assert_frame_equal(in_order(applied(table, change)), in_order(expected))
    assert (0 if change is None else change.rows_erased) == len(rows) - expected.height


@given(rows_of_days, image_ids)
def test_erasing_again_changes_nothing_and_other_days_are_not_written(rows: list[Row], erased: set[str]) -> None:
    table = predictions(rows)
    change = erase_rows(ids(erased), ScannedRows(table.lazy()), CLASSIFICATIONS)
    touched = {row["day"] for row in rows if row["image_id"] in erased}
    assert (set() if change is None else set(change.replaced_days)) == touched
    after = applied(table, change)
    assert erase_rows(ids(erased), ScannedRows(after.lazy()), CLASSIFICATIONS) is None


@given(rows_of_days, image_ids)
def test_the_erased_rows_are_counted_per_day(rows: list[Row], erased: set[str]) -> None:
    counts = rows_to_erase(ids(erased), ScannedRows(predictions(rows).lazy()), CLASSIFICATIONS)
    found = [row["day"] for row in rows if row["image_id"] in erased]
    assert dict(counts.rows()) == {day: found.count(day) for day in found}


def test_keys_of_several_columns_must_match_in_all_of_them() -> None:
    other_day = DAY + timedelta(days=1)
    table = predictions([prediction("a"), prediction("b"), prediction("a", day=other_day)])
    keys = pl.DataFrame({"day": [DAY, other_day], "image_id": ["a", "b"]})
    change = erase_rows(keys, ScannedRows(table.lazy()), CLASSIFICATIONS)
    assert change is not None and change.replaced_days == (DAY,)
    assert sorted(applied(table, change).select("day", "image_id").rows()) == [(DAY, "b"), (other_day, "a")]


def test_a_table_without_days_and_one_with_validity_lose_their_rows_only() -> None:
    table = settings({"a": "1", "b": "2"})
    change = erase_rows(pl.DataFrame({"name": ["a"]}), ScannedRows(table.lazy()), SETTINGS)
    assert change is not None and applied(table, change).rows() == [("b", "2")]
    versions = facts([fact("p", "a", 0, 3), fact("p", "b", 3), fact("q", "c", 0)])
    change = erase_rows(pl.DataFrame({"product_id": ["p"]}), ScannedRows(versions.lazy()), PRODUCTS)
    assert change is not None and change.rows_erased == 2 and applied(versions, change)["product_id"].to_list() == ["q"]


@pytest.mark.parametrize("keys", [pl.DataFrame(), pl.DataFrame({"owner": ["a"]})])
def test_keys_that_are_no_columns_of_the_table_are_refused(keys: pl.DataFrame) -> None:
    with pytest.raises(SchemaError, match="classifications: rows are erased by its own columns"):
        erase_rows(keys, ScannedRows(predictions([prediction("a")]).lazy()), CLASSIFICATIONS)
