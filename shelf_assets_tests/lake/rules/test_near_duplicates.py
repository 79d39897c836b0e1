"""Near-duplicates are found exactly, and groups do not depend on the split of commits and do not change later."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from shelf_assets.build import open_lake
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.duckdb_delta import prepare_connection
from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.ledger import unread_objects
from shelf_assets.lake.rules import near_duplicates
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.rules.merge_objects import merge_objects
from shelf_assets.lake.rules.near_duplicates import NearDuplicates, alike_hashes, grouped
from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE, NEAR_DUPLICATE, RAW_IMAGES, REJECTED
from shelf_assets.settings import Settings
from shelf_assets.vision.perceptual_hash import distance
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, NOON, applied, photo, photos

NEXT_DAY = DAY + timedelta(days=1)
PROCESS, SKIP = NearDuplicates(), NearDuplicates(skip=True)
# A chain of three hashes, each 3 bits from the one before; a hash far from all; and a flat picture, which has no hash.
LOOKS = (0b0, 0b111, 0b111111, -1, None)
LAST_DAY_NUMBER = 3
Row = dict[str, Any]


def seen(name: str, content: object, looks: int | None, day_number: int = 0, minute: int = 0, **changed: object) -> Row:
    day = DAY + timedelta(days=day_number)
    received_at = NOON + timedelta(days=day_number, minutes=minute)
    return photo(name, content, day, received_at=received_at, perceptual_hash=looks, **changed)


def merged(rows: Sequence[Row] | pl.DataFrame, table: pl.DataFrame, near: NearDuplicates = PROCESS) -> Change | None:
    incoming = rows if isinstance(rows, pl.DataFrame) else photos(rows)
    return merge_objects(incoming, ScannedRows(table.lazy()), RAW_IMAGES, near)


def merge_all(batches: Sequence[Sequence[Row]], near: NearDuplicates = PROCESS) -> pl.DataFrame:
    table = RAW_IMAGES.empty()
    for batch in batches:
        table = applied(table, merged(batch, table, near) if batch else None)
    return table.sort("received_at", "key")


def groups(table: pl.DataFrame) -> dict[str, str | None]:
    """File name -> file name of the photo that names its group."""
    name_of = {row["image_id"]: row["key"].rsplit("/", 1)[-1] for row in table.iter_rows(named=True)}
    return {name_of[i]: name_of.get(g, g) for i, g in table.select("image_id", "near_duplicate_group").iter_rows()}


def statuses(table: pl.DataFrame) -> dict[str, str]:
    return {key.rsplit("/", 1)[-1]: status for key, status in table.select("key", "status").iter_rows()}


def _object(number: int, day: int, content: int, minute: int) -> Row:
    """Every three contents have one perceptual hash; every seventh content is not a photo."""
    if content == 7:
        return seen(f"o{number}", content, None, day, minute, status=REJECTED, reason="not_an_image")
    return seen(f"o{number}", content, LOOKS[content % len(LOOKS)], day, minute)


objects = st.lists(
    st.builds(_object, st.integers(0, 7), st.integers(0, LAST_DAY_NUMBER), st.integers(0, 11), st.integers(0, 3)),
    max_size=12,
    unique_by=lambda row: row["key"],
)
rules = st.builds(NearDuplicates, bits=st.just(4), days=st.integers(0, LAST_DAY_NUMBER), skip=st.booleans())


@st.composite
def histories(draw: st.DrawFn) -> list[list[Row]]:
    """Commits of objects in any order and split."""
    batches: list[list[Row]] = [[]]
    for row in draw(st.permutations(draw(objects))):
        if draw(st.booleans()):
            batches.append([])
        batches[-1].append(row)
    return batches


def by_hand(rows: Sequence[Row], near: NearDuplicates) -> dict[str, tuple[str, str | None]]:
    """A simple implementation of the rule, photo by photo: key -> status and group."""
    done: dict[str, tuple[str, str | None]] = {}
    accepted: list[Row] = []
    first_of: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["received_at"], row["key"])):
        if row["status"] == REJECTED:
            done[row["key"]] = (REJECTED, None)
        elif row["sha256"] in first_of:
            done[row["key"]] = (DUPLICATE, done[first_of[row["sha256"]]["key"]][1])
        else:
            alike = [
                other
                for other in accepted
                if row["perceptual_hash"] is not None
                and other["perceptual_hash"] is not None
                and distance(row["perceptual_hash"], other["perceptual_hash"]) <= near.bits
                and abs((row["day"] - other["day"]).days) <= near.days
            ]
            group = done[alike[0]["key"]][1] if alike else row["image_id"]
            skipped = bool(alike) and near.skip
            done[row["key"]] = (DUPLICATE if skipped else ACCEPTED, group)
            if not skipped:
                accepted.append(row)
            first_of[row["sha256"]] = row
    return done


def told(table: pl.DataFrame) -> dict[str, tuple[str, str | None]]:
    rows = table.select("key", "status", "near_duplicate_group").iter_rows()
    return {key: (status, group) for key, status, group in rows}


@given(objects, rules)
def test_groups_of_one_commit_follow_the_rule(rows: list[Row], near: NearDuplicates) -> None:
    assert told(merge_all([rows], near)) == by_hand(rows, near)


@given(objects, rules, st.data())
def test_groups_do_not_depend_on_the_split_of_commits(
    rows: list[Row], near: NearDuplicates, data: st.DataObject
) -> None:
    rows = sorted(rows, key=lambda row: (row["received_at"], row["key"]))
    ends = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    batches = [rows[start:end] for start, end in zip([0, *ends], [*ends, len(rows)], strict=True)]
    if near.skip:
        # A copy of a skipped photo is evaluated from its own day, so only an unlimited window gives the same result.
        near = dataclasses.replace(near, days=LAST_DAY_NUMBER)
    assert told(merge_all(batches, near)) == by_hand(rows, near)
    assert merge_all(batches, near).equals(merge_all([rows], near))


@given(histories(), rules)
def test_merged_rows_stay_when_photos_arrive_late_or_again(batches: list[list[Row]], near: NearDuplicates) -> None:
    before: dict[str, tuple[str, str | None]] = {}
    table = RAW_IMAGES.empty()
    for batch in filter(None, batches):
        table = applied(table, merged(batch, table, near))
        assert before.items() <= told(table).items()
        before = told(table)
        assert merged(batch, table, near) is None
    assert_sound(table)


@given(histories(), objects, rules)
def test_overwritten_photos_keep_groups_sound_and_pictures_accepted(
    batches: list[list[Row]], later: list[Row], near: NearDuplicates
) -> None:
    rewritten = [row | {"etag": f"{row['etag']}'"} for row in later]
    table = merge_all([*batches, rewritten], near)
    assert_sound(table)
    listed = {row["key"]: row for batch in [*batches, rewritten] for row in batch}
    assert set(table["key"]) == set(listed)
    readable = {row["sha256"] for row in listed.values() if row["status"] == ACCEPTED}
    if near.skip:
        assert set(table.filter(status=ACCEPTED)["sha256"]) <= readable
    else:
        assert set(table.filter(status=ACCEPTED)["sha256"]) == readable


def assert_sound(table: pl.DataFrame) -> None:
    accepted = table.filter(status=ACCEPTED)
    group_of = dict(accepted.select("image_id", "near_duplicate_group").iter_rows())
    for row in table.iter_rows(named=True):
        group, is_near = row["near_duplicate_group"], row["reason"] == NEAR_DUPLICATE
        if row["status"] == REJECTED:
            assert group is None
            continue
        assert group_of[group] == group, "the photo that names a group must be accepted and in the group"
        if row["status"] == DUPLICATE:
            assert row["duplicate_of"] in group_of, "a duplicate must name an accepted photo"
            if is_near:
                assert row["duplicate_of"] == group
            else:
                original = accepted.filter(image_id=row["duplicate_of"])
                assert original.select("sha256", "near_duplicate_group").rows() == [(row["sha256"], group)]
        else:
            assert row["duplicate_of"] is None and row["reason"] is None


def test_chain_of_pictures_is_grouped_by_arrival() -> None:
    first, middle, last = (seen(name, name, looks) for name, looks in zip("abc", LOOKS, strict=False))
    assert groups(merge_all([[first, middle, last]])) == {"a": "a", "b": "a", "c": "a"}
    assert groups(merge_all([[first, last], [middle]])) == {"a": "a", "c": "c", "b": "a"}


def test_flat_pictures_are_no_near_duplicates() -> None:
    table = merge_all([[seen("a", 1, None), seen("b", 2, None)], [seen("c", 3, None)]], SKIP)
    assert groups(table) == {"a": "a", "b": "b", "c": "c"}
    assert set(table["status"]) == {ACCEPTED}


@pytest.mark.parametrize("days", [0, 3])
def test_near_duplicates_are_limited_to_the_window(days: int) -> None:
    near = NearDuplicates(days=days)
    rows = [seen("a", 1, 0), seen("inside", 2, 1, days), seen("outside", 3, 0b11110000, days + 1)]
    assert groups(merge_all([[row] for row in rows], near)) == {"a": "a", "inside": "a", "outside": "outside"}
    # A day that is run after later days joins their groups, because existing groups do not change.
    assert groups(merge_all([[row] for row in rows[::-1]], near))["a"] == "inside"


def test_skipped_near_duplicate_is_stored_as_a_duplicate() -> None:
    table = merge_all([[seen("a", 1, 0)], [seen("b", 2, 1, 1)], [seen("copy", 2, 1, 2)]], SKIP)
    assert statuses(table) == {"a": ACCEPTED, "b": DUPLICATE, "copy": DUPLICATE}
    near = table.filter(pl.col("key").str.ends_with("b")).row(0, named=True)
    assert near["duplicate_of"] == near["near_duplicate_group"] == table["image_id"][0]
    assert near["reason"] == NEAR_DUPLICATE and table["image_id"][0] in near["reason_detail"]


def test_copies_of_a_skipped_photo_name_the_accepted_photo() -> None:
    table = merge_all([[seen("a", 1, 0)], [seen("b", 2, 1, 1), seen("copy", 2, 1, 1, 1)]], SKIP)
    assert set(table["duplicate_of"].drop_nulls()) == {table["image_id"][0]}
    assert table["reason"].to_list() == [None, NEAR_DUPLICATE, NEAR_DUPLICATE]


def test_skipped_photos_are_not_read_again() -> None:
    table = merge_all([[seen("a", 1, 0)], [seen("b", 2, 1)]], SKIP)
    assert unread_objects(table.select("key", "etag"), table).is_empty()


def test_picture_survives_the_loss_of_its_first_photo() -> None:
    first, near, copy = seen("a", 1, 0), seen("b", 2, 1, 1), seen("copy", 2, 1, 1, 1)
    overwritten = seen("a", 3, -1) | {"etag": "new"}
    table = merge_all([[first], [near, copy], [overwritten]], SKIP)
    assert statuses(table) == {"a": ACCEPTED, "b": ACCEPTED, "copy": DUPLICATE}
    assert groups(table) == {"a": "a", "b": "b", "copy": "b"}
    assert table["reason"].null_count() == 3


def test_skipped_photo_stays_skipped_while_its_picture_exists() -> None:
    """The first photo of its group is overwritten, and another photo with the same bytes replaces it."""
    table = merge_all(
        [[seen("a", 1, 0)], [seen("again", 1, 0, 1)], [seen("b", 2, 1, 2)], [seen("a", 3, -1) | {"etag": "new"}]], SKIP
    )
    assert statuses(table) == {"a": ACCEPTED, "again": ACCEPTED, "b": DUPLICATE}
    assert groups(table) == {"a": "a", "again": "again", "b": "again"}


def test_accepted_photo_stays_accepted_when_its_group_is_renamed() -> None:
    before = merge_all([[seen("a", 1, 0)], [seen("b", 2, 1, 1), seen("c", 3, 3, 1, 1)]], PROCESS)
    change = merged([seen("a", 4, -1) | {"etag": "new"}], before, SKIP)
    after = applied(before, change)
    assert set(after["status"]) == {ACCEPTED}
    assert groups(after) == {"a": "a", "b": "b", "c": "b"}


def test_object_rewritten_with_same_bytes_keeps_its_group() -> None:
    rows = [[seen("a", 1, 0)], [seen("b", 2, 1, 1)], [seen("earlier", 3, 0b11001, 0, -5)]]
    again = seen("b", 2, 1, 1) | {"etag": "put again"}
    for near in (PROCESS, SKIP):
        table = merge_all([*rows, [again]], near)
        assert groups(table)["b"] == "a"
        assert table.filter(etag="put again").height == 1


@given(st.integers(0, 7), st.integers(0, 2**32), st.integers(1, 5))
def test_banded_search_finds_every_pair_within_any_memory_bound(bits: int, seed: int, at_once: int) -> None:
    random = np.random.default_rng(seed)
    base = random.integers(-(2**63), 2**63 - 1, 6, dtype=np.int64, endpoint=True)
    flips = [sum(1 << int(bit) for bit in random.choice(64, random.integers(0, 10), replace=False)) for _ in range(40)]
    hashes = (base.view(np.uint64)[random.integers(0, 6, 40)] ^ np.array(flips, np.uint64)).view(np.int64)
    rows = photos(
        seen(f"{n:02}", n, int(looks), int(day))
        for n, (looks, day) in enumerate(zip(hashes, random.integers(0, 4, 40), strict=True))
    )
    near = NearDuplicates(bits=bits, days=1)
    mine, others = rows[:15], rows[15:]
    expected = {
        other
        for other, other_day in others.select("perceptual_hash", "day").iter_rows()
        for own, day in mine.select("perceptual_hash", "day").iter_rows()
        if distance(own, other) <= bits and abs((day - other_day).days) <= 1
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_PAIRS_AT_ONCE", at_once)
        assert set(alike_hashes(mine, others, near)) == expected
        settled = pl.lit(False).alias("is_retained")
        few = grouped(mine.with_columns(settled), others.with_columns(near_duplicate_group="image_id"), near)
    many = grouped(mine.with_columns(settled), others.with_columns(near_duplicate_group="image_id"), near)
    assert few.equals(many)


def test_picture_sent_thousands_of_times_needs_few_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def counting(starts: np.ndarray, counts: np.ndarray) -> Any:
        nonlocal compared
        compared += int(counts.sum())
        return pairs(starts, counts)

    pairs = near_duplicates._pairs
    monkeypatch.setattr(near_duplicates, "_pairs", counting)
    stored = merge_all([[seen(f"{n:04}", n, n % 2) for n in range(3_000)]])
    new = photos(seen(f"{n:04}", n, n % 2, 1) for n in range(3_000, 3_100))
    change = merged(new, stored)
    assert change is not None and change.rows["near_duplicate_group"].unique().to_list() == [stored["image_id"][0]]
    assert 0 < compared < 100 * 20, "comparing all pairs would be 300,000 comparisons per band"


def test_table_without_group_columns_is_upgraded_without_loss(lake: LakeUnderTest) -> None:
    new = ("perceptual_hash", "near_duplicate_group", "uploader")
    columns = {name: column for name, column in RAW_IMAGES.columns.items() if name not in new}
    table = lake.lake.table("raw_images")
    old = LakeTable(dataclasses.replace(RAW_IMAGES, columns=columns), table.uri, table.storage_options)
    stored = photos([seen("a", 1, 0), seen("b", 2, 1)]).drop(new)
    arrow = stored.to_arrow(compat_level=pl.CompatLevel.oldest())
    old._ensure()
    write_deltalake(old.open() or "", arrow, mode="append")

    table.commit(photos([seen("copy", 1, 0, 1), seen("alike", 3, 1, 1), seen("alike too", 4, 3, 1)]))

    held = table.scan().collect()
    assert held.filter(day=DAY).select(new).null_count().row(0) == (2, 2, 2)
    assert groups(held) == {"a": None, "b": None, "copy": "a", "alike": "alike", "alike too": "alike"}
    with duckdb.connect() as connection:
        prepare_connection(connection, lake.url, lake.settings.lake.aws_environment())
        asked = f"SELECT count(*), count(near_duplicate_group), count(uploader) FROM delta_scan('{table.uri}')"
        assert connection.execute(asked).fetchall() == [(5, 3, 0)]
    table.commit(photos([seen("a", 1, 0) | {"etag": "put again"}]))
    assert groups(table.scan().collect())["a"] == "a", "its copy and the marts already use this group"
    table.commit(photos([seen("later", 5, 0, 2)]))
    assert groups(table.scan().collect())["later"] == "a", "the photo has a hash once it was read again"


def test_commit_follows_the_near_duplicate_settings(settings: Settings) -> None:
    chosen = settings.replace(photos__near_duplicates="skip", photos__near_duplicate_bits=2)
    table = open_lake(chosen).table("raw_images")
    table.commit(photos([seen("a", 1, 0), seen("b", 2, 0b11, minute=1), seen("c", 3, 0b111, minute=2)]))
    assert statuses(table.scan().collect()) == {"a": ACCEPTED, "b": DUPLICATE, "c": ACCEPTED}
