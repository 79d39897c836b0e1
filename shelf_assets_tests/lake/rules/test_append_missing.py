"""append_missing against generated histories: each key exists once, with its newest bytes."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.rules.append_missing import append_missing
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.schemas import STAGE_RUNS
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS
from shelf_assets_tests.lake.rows import DAY, applied, prediction, predictions, stage_runs
from shelf_assets_tests.lake.specs import SETTINGS, settings


def appended(rows: list[dict], table: pl.DataFrame) -> Change | None:
    return append_missing(predictions(rows), ScannedRows(table.lazy()), CLASSIFICATIONS)


prediction_rows = st.lists(
    st.builds(
        lambda name, content, model, day: prediction(f"i{name}", content, f"m{model}", DAY + timedelta(days=day)),
        *(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1), st.integers(0, 1)),
    ),
    max_size=8,
    unique_by=lambda row: tuple(row[name] for name in CLASSIFICATIONS.key),
)


@given(st.lists(prediction_rows, max_size=5))
def test_no_key_is_repeated_and_the_last_bytes_win(batches: list[list[dict]]) -> None:
    table, expected = CLASSIFICATIONS.empty(), {}
    for batch in batches:
        if not batch:
            continue
        table = applied(table, appended(batch, table))
        expected |= {tuple(row[name] for name in CLASSIFICATIONS.key): row["sha256"] for row in batch}
        assert appended(batch, table) is None
    stored = {row[:-1]: row[-1] for row in table.select(*CLASSIFICATIONS.key, "sha256").iter_rows()}
    assert table.height == len(stored), "each key must exist once"
    assert stored == expected


def test_prediction_of_overwritten_bytes_is_replaced_alone() -> None:
    table = applied(
        CLASSIFICATIONS.empty(),
        appended([prediction("a"), prediction("b")], CLASSIFICATIONS.empty()),
    )
    change = appended([prediction("a", "new")], table)
    assert sorted(applied(table, change)["label"]) == ["a new", "b bytes"]
    assert change is not None and change.replaced_days == (DAY,)


def test_new_rows_are_appended_without_rewriting_the_day() -> None:
    table = stage_runs(["r1"])
    change = append_missing(stage_runs(["r1", "r2"]), ScannedRows(table.lazy()), STAGE_RUNS)
    assert change is not None and change.replaced_days == () and change.rows["run_id"].to_list() == ["r2"]


def test_a_table_without_days_is_appended_to_and_keeps_its_rows() -> None:
    table = settings({"a": "1"})
    change = append_missing(settings({"a": "2", "b": "3"}), ScannedRows(table.lazy()), SETTINGS)
    assert change is not None and not change.replaces_table
    assert dict(applied(table, change).rows()) == {"a": "1", "b": "3"}
