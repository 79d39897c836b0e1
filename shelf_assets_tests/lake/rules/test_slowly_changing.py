"""slowly_changing against generated facts: the history of a product does not depend on the order in which its facts arrive."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.rules.slowly_changing import drop_unchanged, slowly_changing, valid_at
from shelf_assets_tests.lake.rows import applied
from shelf_assets_tests.lake.specs import PRODUCTS, fact, facts, moment

Row = dict[str, object]
LAST_HOUR = 12


def _fact(product: int, name: str | None, start: int, length: int | None) -> Row:
    return fact(f"p{product}", name, start, None if length is None else start + length)


def facts_of(lengths: st.SearchStrategy[int | None]) -> st.SearchStrategy[list[Row]]:
    return st.lists(
        st.builds(_fact, st.integers(0, 1), st.sampled_from(["a", "b", None]), st.integers(0, LAST_HOUR - 1), lengths),
        max_size=10,
        unique_by=lambda row: (row["product_id"], row["valid_from"]),
    )


any_facts = facts_of(st.one_of(st.none(), st.integers(1, 5)))
open_facts = facts_of(st.none())


@st.composite
def arrivals(draw: st.DrawFn, rows: st.SearchStrategy[list[Row]] = any_facts) -> tuple[list[Row], list[list[Row]]]:
    """Facts, in commits of any order and split; some facts are committed more than once."""
    drawn = draw(rows)
    queue = draw(st.permutations(drawn + (draw(st.lists(st.sampled_from(drawn), max_size=4)) if drawn else [])))
    batches: list[list[Row]] = [[]]
    for row in queue:
        is_repeated = any(_key(row) == _key(other) for other in batches[-1])
        if is_repeated or draw(st.booleans()):
            batches.append([])
        batches[-1].append(row)
    return drawn, [batch for batch in batches if batch]


def _key(row: Row) -> tuple[object, object]:
    return row["product_id"], row["valid_from"]


def changed(rows: Sequence[Row], table: pl.DataFrame) -> Change | None:
    return slowly_changing(facts(rows), ScannedRows(table.lazy()), PRODUCTS)


def history(batches: Sequence[Sequence[Row]]) -> pl.DataFrame:
    table = PRODUCTS.empty()
    for batch in batches:
        table = applied(table, changed(batch, table))
    return table.sort("product_id", "valid_from")


def name_at(table: pl.DataFrame, product: str, hour: int) -> list[str | None]:
    valid = valid_at(table.lazy(), pl.lit(moment(hour))).collect()
    return valid.filter(product_id=product)["name"].to_list()


def by_hand(rows: Sequence[Row], product: str, hour: int) -> list[str | None]:
    """The name at an hour: the name of the latest fact that has begun, unless that fact has ended."""
    begun = [row for row in rows if row["product_id"] == product and row["valid_from"] <= moment(hour)]  # type: ignore[operator]
    if not begun:
        return []
    latest = max(begun, key=lambda row: row["valid_from"])  # type: ignore[arg-type,return-value]
    ended = latest["valid_to"] is not None and latest["valid_to"] <= moment(hour)  # type: ignore[operator]
    return [] if ended else [latest["name"]]  # type: ignore[list-item]


@given(arrivals())
def test_the_history_does_not_depend_on_the_order_of_arrival(case: tuple[list[Row], list[list[Row]]]) -> None:
    rows, batches = case
    assert_frame_equal(history(batches), history([rows] if rows else []))


@given(arrivals())
def test_each_moment_has_the_version_of_the_latest_fact_and_no_other(case: tuple[list[Row], list[list[Row]]]) -> None:
    rows, batches = case
    table = history(batches)
    for product in ("p0", "p1"):
        for hour in range(LAST_HOUR + 6):
            assert name_at(table, product, hour) == by_hand(rows, product, hour)


@given(arrivals())
def test_no_fact_is_ever_lost_and_versions_never_overlap(case: tuple[list[Row], list[list[Row]]]) -> None:
    table, seen = PRODUCTS.empty(), set[tuple]()
    for batch in case[1]:
        table = applied(table, changed(batch, table))
        seen |= {(*_key(row), row["name"]) for row in batch}
        assert set(table.select("product_id", "valid_from", "name").rows()) == seen
        for _, versions in table.sort("valid_from").group_by("product_id"):
            ends, starts = versions["valid_to"][:-1], versions["valid_from"][1:]
            assert ends.null_count() == 0 and (ends <= starts).all()


@given(arrivals(open_facts))
def test_facts_without_an_end_leave_no_gap_and_one_open_version(case: tuple[list[Row], list[list[Row]]]) -> None:
    for _, versions in history(case[1]).group_by("product_id", maintain_order=True):
        assert versions["valid_to"][:-1].to_list() == versions["valid_from"][1:].to_list()
        assert versions["valid_to"][-1] is None


@given(arrivals())
def test_facts_that_exist_change_nothing(case: tuple[list[Row], list[list[Row]]]) -> None:
    rows, batches = case
    table = history(batches)
    for batch in [rows, *batches]:
        assert not batch or changed(batch, table) is None


def test_a_changed_row_closes_the_old_version_and_opens_a_new_one() -> None:
    table = history([[fact("p", "old", 0)]])
    change = changed([fact("p", "new", 3)], table)
    assert change is not None and change.rows_new == 1
    assert applied(table, change).sort("valid_from").select("name", "valid_from", "valid_to").rows() == [
        ("old", moment(0), moment(3)),
        ("new", moment(3), None),
    ]


def test_a_late_fact_is_inserted_between_its_neighbours() -> None:
    table = history([[fact("p", "first", 0), fact("p", "last", 9)], [fact("p", "late", 4)]])
    assert table.select("name", "valid_to").rows() == [("first", moment(4)), ("late", moment(9)), ("last", None)]


def test_a_fact_with_an_existing_begin_corrects_that_version() -> None:
    table = history([[fact("p", "wrong", 0), fact("p", "next", 5)], [fact("p", "right", 0)]])
    assert table.select("name", "valid_to").rows() == [("right", moment(5)), ("next", None)]


def test_facts_of_new_products_are_appended_without_rewriting_the_table() -> None:
    table = history([[fact("p", "a", 0)]])
    change = changed([fact("q", "b", 0)], table)
    assert change is not None and not change.replaces_table and change.rows["product_id"].to_list() == ["q"]


def test_an_unchanged_snapshot_can_be_dropped_and_a_changed_or_ended_version_is_kept() -> None:
    table = history([[fact("same", "a", 0), fact("other", "b", 0), fact("ended", "c", 0, 2)]])
    snapshot = facts([fact(product, name, 5) for product, name in (("same", "a"), ("other", "B"), ("ended", "c"))])
    snapshot = pl.concat([snapshot, facts([fact("new", "d", 5)])])
    kept = drop_unchanged(snapshot, ScannedRows(table.lazy()), PRODUCTS)
    assert sorted(kept["product_id"]) == ["ended", "new", "other"]
