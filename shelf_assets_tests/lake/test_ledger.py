"""The rules against generated histories: whatever the order, the split and the repetitions, the same truth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shelf_assets.lake.ledger import (
    ACCEPTED,
    DUPLICATE,
    REJECTED,
    accepted_twice,
    insert_missing,
    merge_objects,
    missing_predictions,
    unread_objects,
)
from shelf_assets.lake.schemas import CLASSIFICATIONS, RAW_IMAGES, STAGE_RUNS
from shelf_assets_tests.lake.rows import (
    DAY,
    NOON,
    applied,
    photo,
    photos,
    prediction,
    predictions,
    stage_runs,
)

OTHER_DAY = DAY + timedelta(days=1)
UUID_NAME = "01956d2e-0c00-7000-8000-000000000001"  # the same name on two days is the same image_id, yet two objects


def object_of(day: int, name: int, content: int, minute: int) -> dict[str, object]:
    """Content 0 is not an image."""
    rejected = {"status": REJECTED, "reason": "not_an_image"} if content == 0 else {}
    file_name = UUID_NAME if name == 0 else f"photo-{name}"
    received = {"received_at": NOON + timedelta(minutes=minute)}
    return photo(file_name, content, DAY + timedelta(days=day), **received, **rejected)


objects = st.lists(
    st.builds(object_of, st.integers(0, 2), st.integers(0, 4), st.integers(0, 3), st.integers(0, 2)),
    max_size=12,
    unique_by=lambda row: row["key"],
)


@st.composite
def commits(draw: st.DrawFn) -> tuple[list[dict], list[list[dict]]]:
    """A set of objects, and a way to commit it: in any order and split, some objects more than once."""
    rows = draw(objects)
    queue = draw(st.permutations(rows + draw(st.lists(st.sampled_from(rows), max_size=6)) if rows else rows))
    batches: list[list[dict]] = [[]]
    for row in queue:
        if draw(st.booleans()) or any(row["key"] == other["key"] for other in batches[-1]):
            batches.append([])
        batches[-1].append(row)
    return rows, batches


def settle_all(batches: Sequence[Sequence[dict]]) -> pl.DataFrame:
    table = RAW_IMAGES.empty()
    for batch in batches:
        if batch:
            table = applied(table, merge_objects(photos(batch), table.lazy(), RAW_IMAGES))
    return table


def assert_whole(table: pl.DataFrame, listed: Sequence[dict]) -> None:
    assert sorted(table["key"]) == sorted(str(row["key"]) for row in listed), "every object has exactly one row"
    accepted = table.filter(status=ACCEPTED)
    assert accepted["sha256"].is_unique().all(), "no bytes are accepted twice"
    readable = {row["sha256"] for row in listed if row["status"] == ACCEPTED}
    assert set(accepted["sha256"]) == readable, "all bytes that can be read are accepted once"
    duplicates = table.filter(status=DUPLICATE)
    pointed = duplicates.join(accepted, left_on=["duplicate_of", "sha256"], right_on=["image_id", "sha256"], how="semi")
    assert pointed.height == duplicates.height, "a duplicate names the accepted photo with its bytes"
    assert accepted["duplicate_of"].null_count() == accepted.height


@given(commits())
def test_no_order_or_split_of_commits_loses_or_accepts_bytes_twice(
    case: tuple[list[dict], list[list[dict]]],
) -> None:
    listed, batches = case
    assert_whole(settle_all(batches), listed)


@given(commits())
def test_settling_again_what_is_settled_is_no_change(case: tuple[list[dict], list[list[dict]]]) -> None:
    listed, batches = case
    table = settle_all(batches)
    for batch in [listed, *batches]:
        assert merge_objects(photos(batch), table.lazy(), RAW_IMAGES) is None


@given(commits(), objects)
def test_overwritten_objects_leave_no_bytes_unaccepted(
    case: tuple[list[dict], list[list[dict]]], later: list[dict]
) -> None:
    listed, batches = case
    rewritten = [row | {"etag": f"{row['etag']}'"} for row in later]
    table = settle_all([*batches, rewritten])
    current = {row["key"]: row for row in [*listed, *rewritten]}
    assert_whole(table, list(current.values()))


def test_a_duplicate_takes_the_place_of_an_original_that_was_overwritten() -> None:
    first, copy = photo("a", "same"), photo("b", "same", OTHER_DAY)
    table = settle_all([[first], [copy], [photo("a", "new bytes")]])
    assert dict(table.select("key", "status").iter_rows()) == {first["key"]: ACCEPTED, copy["key"]: ACCEPTED}


def test_an_accepted_photo_stays_the_original_when_an_older_copy_arrives_late() -> None:
    older = photo("0", "same", received_at=NOON - timedelta(hours=1))
    table = settle_all([[photo("a", "same")], [photo("a", "same"), older]])
    assert table.filter(status=DUPLICATE)["key"].to_list() == [older["key"]]


def test_a_gone_object_that_came_back_is_read_and_judged_again() -> None:
    gone = photo("a", "x", status=REJECTED, reason="gone", sha256=None)
    table = settle_all([[gone]])
    listing = photos([photo("a", "x")]).select("key", "etag")
    assert unread_objects(listing, table).height == 1
    assert settle_all([[gone], [photo("a", "x")]])["status"].to_list() == [ACCEPTED]


def test_objects_that_are_known_with_their_etag_are_not_read_again() -> None:
    table = settle_all([[photo("a", 1), photo("b", 2, status=REJECTED, reason="truncated")]])
    listing = photos([photo("a", 1), photo("b", 2), photo("c", 3), photo("a", "new", OTHER_DAY)])
    assert unread_objects(listing.select("key", "etag"), table)["key"].to_list() == [
        photo("c", 3)["key"],
        photo("a", "new", OTHER_DAY)["key"],
    ]


def test_bytes_that_are_accepted_twice_are_found_from_either_day_and_from_no_other() -> None:
    third = OTHER_DAY + timedelta(days=1)
    table = photos(
        [
            photo("a", "same"),
            photo("b", "same", OTHER_DAY),
            photo("c", "same", third, status=DUPLICATE),
            photo("d", 4, third),
        ]
    ).lazy()
    assert (
        accepted_twice(table, DAY).to_list()
        == accepted_twice(table, OTHER_DAY).to_list()
        == [photo("a", "same")["sha256"]]
    )
    assert accepted_twice(table, third).is_empty()


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
        table = applied(table, insert_missing(predictions(batch), table.lazy(), CLASSIFICATIONS))
        expected |= {tuple(row[name] for name in CLASSIFICATIONS.key): row["sha256"] for row in batch}
        assert insert_missing(predictions(batch), table.lazy(), CLASSIFICATIONS) is None
    resting = {row[:-1]: row[-1] for row in table.select(*CLASSIFICATIONS.key, "sha256").iter_rows()}
    assert table.height == len(resting), "no key twice"
    assert resting == expected


def test_a_prediction_of_overwritten_bytes_gives_way_and_its_neighbours_stay() -> None:
    table = applied(
        CLASSIFICATIONS.empty(),
        insert_missing(
            predictions([prediction("a"), prediction("b")]), CLASSIFICATIONS.empty().lazy(), CLASSIFICATIONS
        ),
    )
    change = insert_missing(predictions([prediction("a", "new")]), table.lazy(), CLASSIFICATIONS)
    assert sorted(applied(table, change)["label"]) == ["a new", "b bytes"]
    assert change is not None and change.replaced_days == (DAY,)


def test_rows_that_are_simply_new_are_appended_without_rewriting_the_day() -> None:
    table = stage_runs(["r1"])
    change = insert_missing(stage_runs(["r1", "r2"]), table.lazy(), STAGE_RUNS)
    assert change is not None and change.replaced_days == () and change.rows["run_id"].to_list() == ["r2"]


def test_only_photos_without_a_row_of_this_model_are_inferred() -> None:
    accepted = pl.DataFrame({"image_id": ["a", "b", "c"], "sha256": [prediction("a")["sha256"]] * 3})
    resting = predictions([prediction("a"), prediction("b", model="other"), prediction("c", "older bytes")])
    assert missing_predictions(accepted, resting, "m", "p")["image_id"].to_list() == ["b", "c"]
