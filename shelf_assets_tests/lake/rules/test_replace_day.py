"""replace_day against generated histories: a day holds exactly the rows that were committed last."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.rules.replace_day import replace_day
from shelf_assets_tests.lake.rows import applied
from shelf_assets_tests.lake.specs import DAY, PRICES, price, prices

Row = dict[str, object]
rows_of_days = st.lists(
    st.builds(
        lambda product, price_eur, day: price(f"p{product}", price_eur, DAY + timedelta(days=day)),
        st.integers(0, 3),
        st.sampled_from([None, 1.5, 2.5, float("nan")]),
        st.integers(0, 2),
    ),
    max_size=8,
    unique_by=lambda row: (row["day"], row["product_id"]),
)


def replaced(rows: list[Row], table: pl.DataFrame) -> Change | None:
    return replace_day(prices(rows), ScannedRows(table.lazy()), PRICES)


def in_order(table: pl.DataFrame) -> pl.DataFrame:
    return table.sort("day", "product_id")


@given(st.lists(rows_of_days, max_size=5))
def test_a_day_holds_exactly_the_rows_that_were_committed_last(commits: list[list[Row]]) -> None:
    table, expected = PRICES.empty(), dict[date, list[Row]]()
    for rows in commits:
        table = applied(table, replaced(rows, table))
        for day in {row["day"] for row in rows}:
            expected[day] = [row for row in rows if row["day"] == day]  # type: ignore[index]
    assert_frame_equal(in_order(table), in_order(prices(row for rows in expected.values() for row in rows)))


@given(rows_of_days, rows_of_days, st.randoms(use_true_random=False))
def test_the_same_rows_in_another_order_change_nothing(before: list[Row], rows: list[Row], random) -> None:
    table = applied(prices(before), replaced(rows, prices(before)))
    random.shuffle(rows)
    assert replaced(rows, table) is None


@given(rows_of_days, rows_of_days)
def test_only_days_that_differ_are_written(before: list[Row], rows: list[Row]) -> None:
    table = prices(before)
    change = replaced(rows, table)
    for day in {row["day"] for row in rows}:
        old, new = (in_order(prices(row for row in each if row["day"] == day)) for each in (before, rows))
        is_written = change is not None and day in change.replaced_days
        assert is_written == (not old.equals(new))
    if change is not None:
        assert set(change.rows["day"]) == set(change.replaced_days)


def test_a_row_that_is_not_given_any_more_is_gone_and_only_new_values_are_counted() -> None:
    table = prices([price("a", 1.0), price("b", 2.0), price("c", 3.0)])
    change = replaced([price("a", 1.0), price("b", 9.0)], table)
    assert change is not None and change.rows_new == 1
    assert applied(table, change)["product_id"].to_list() == ["a", "b"]
