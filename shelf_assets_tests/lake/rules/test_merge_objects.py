"""merge_objects against generated histories: the result does not depend on order, split or repetition of commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.ledger import unread_objects
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.rules.merge_objects import merge_objects
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE, RAW_IMAGES, REJECTED
from shelf_assets_tests.lake.rows import DAY, NOON, applied, photo, photos

OTHER_DAY = DAY + timedelta(days=1)
UUID_NAME = "01956d2e-0c00-7000-8000-000000000001"  # the same name on two days: two objects with one image_id


def object_of(day: int, name: int, content: int, minute: int) -> dict[str, object]:
    """An object; content 0 is not an image."""
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
    """A set of objects, in commits of any order and split; some objects are committed more than once."""
    rows = draw(objects)
    queue = draw(st.permutations(rows + draw(st.lists(st.sampled_from(rows), max_size=6)) if rows else rows))
    batches: list[list[dict]] = [[]]
    for row in queue:
        if draw(st.booleans()) or any(row["key"] == other["key"] for other in batches[-1]):
            batches.append([])
        batches[-1].append(row)
    return rows, batches


def merged(batch: Sequence[dict], table: pl.DataFrame) -> Change | None:
    return merge_objects(photos(batch), ScannedRows(table.lazy()), RAW_IMAGES, NearDuplicates())


def merge_all(batches: Sequence[Sequence[dict]]) -> pl.DataFrame:
    table = RAW_IMAGES.empty()
    for batch in batches:
        if batch:
            table = applied(table, merged(batch, table))
    return table


def assert_whole(table: pl.DataFrame, listed: Sequence[dict]) -> None:
    assert sorted(table["key"]) == sorted(str(row["key"]) for row in listed), "every object must have exactly one row"
    accepted = table.filter(status=ACCEPTED)
    assert accepted["sha256"].is_unique().all(), "no bytes may be accepted twice"
    readable = {row["sha256"] for row in listed if row["status"] == ACCEPTED}
    assert set(accepted["sha256"]) == readable, "all readable bytes must be accepted once"
    duplicates = table.filter(status=DUPLICATE)
    pointed = duplicates.join(accepted, left_on=["duplicate_of", "sha256"], right_on=["image_id", "sha256"], how="semi")
    assert pointed.height == duplicates.height, "a duplicate must name the accepted photo with its bytes"
    assert accepted["duplicate_of"].null_count() == accepted.height


@given(commits())
def test_any_split_of_commits_accepts_all_bytes_once(
    case: tuple[list[dict], list[list[dict]]],
) -> None:
    listed, batches = case
    assert_whole(merge_all(batches), listed)


@given(commits())
def test_merging_the_same_objects_again_changes_nothing(case: tuple[list[dict], list[list[dict]]]) -> None:
    listed, batches = case
    table = merge_all(batches)
    for batch in [listed, *batches]:
        assert merged(batch, table) is None


@given(commits(), objects)
def test_overwritten_objects_leave_all_bytes_accepted(
    case: tuple[list[dict], list[list[dict]]], later: list[dict]
) -> None:
    listed, batches = case
    rewritten = [row | {"etag": f"{row['etag']}'"} for row in later]
    table = merge_all([*batches, rewritten])
    current = {row["key"]: row for row in [*listed, *rewritten]}
    assert_whole(table, list(current.values()))


def test_duplicate_replaces_an_overwritten_original() -> None:
    first, copy = photo("a", "same"), photo("b", "same", OTHER_DAY)
    table = merge_all([[first], [copy], [photo("a", "new bytes")]])
    assert dict(table.select("key", "status").iter_rows()) == {first["key"]: ACCEPTED, copy["key"]: ACCEPTED}


def test_an_accepted_photo_stays_the_original_when_an_older_copy_arrives_late() -> None:
    older = photo("0", "same", received_at=NOON - timedelta(hours=1))
    table = merge_all([[photo("a", "same")], [photo("a", "same"), older]])
    assert table.filter(status=DUPLICATE)["key"].to_list() == [older["key"]]


def test_returned_object_is_read_and_validated_again() -> None:
    gone = photo("a", "x", status=REJECTED, reason="gone", sha256=None)
    table = merge_all([[gone]])
    listing = photos([photo("a", "x")]).select("key", "etag")
    assert unread_objects(listing, table).height == 1
    assert merge_all([[gone], [photo("a", "x")]])["status"].to_list() == [ACCEPTED]
