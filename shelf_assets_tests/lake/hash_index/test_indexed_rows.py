"""Look-ups with the index and with a plain scan return the same rows, over generated histories."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.hash_index import build, manifest
from shelf_assets.lake.hash_index.rows import IndexedRows
from shelf_assets.lake.known_rows import KnownRows, ScannedRows
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, REJECTED, accepted_twice
from shelf_assets.lake.maintenance import Policy, maintain
from shelf_assets.lake.rules.merge_objects import merge_objects
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, NOON, applied, photo, photos

DAYS = 4
CONTENTS = 6
UUID_NAME = "01956d2e-0c00-7000-8000-000000000001"  # the same name on two days: two objects with one image_id
POLICY = Policy(small_file_bytes=1_000_000, keep=timedelta(days=7))
Row = dict[str, Any]


def an_object(day: int, name: int, content: int, minute: int) -> Row:
    """Every two contents have one perceptual hash; content 0 is an object that no longer exists."""
    file_name = UUID_NAME if name == 0 else f"photo-{name}"
    changed: Row = {
        "received_at": NOON + timedelta(days=day, minutes=minute),
        "perceptual_hash": 2 ** (content // 2 * 9),
    }
    if content == 0:
        changed |= {"status": REJECTED, "reason": "gone", "sha256": None, "perceptual_hash": None}
    return photo(file_name, content, DAY + timedelta(days=day), **changed)


objects = st.builds(
    an_object, st.integers(0, DAYS - 1), st.integers(0, 3), st.integers(0, CONTENTS - 1), st.integers(0, 2)
)
commits = st.lists(objects, min_size=1, max_size=6, unique_by=lambda row: row["key"])
index_work = st.sampled_from(
    ["cover a file", "maintain", "maintain the table", "lose a run", "lose the manifest", "restore"]
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Row] | str]:
    """Commits, some of which overwrite existing objects, with updates of the index between them."""
    steps: list[list[Row] | str] = []
    for _ in range(draw(st.integers(1, 4))):
        steps.append(draw(commits))
        steps += draw(st.lists(index_work, max_size=3))
    return steps


@dataclass
class History:
    """A lake's raw_images, with the rows that are expected by the rule and a plain scan."""

    table: LakeTable
    expected: pl.DataFrame = field(default_factory=RAW_IMAGES.empty)
    versions: dict[int, pl.DataFrame] = field(default_factory=dict)

    def do(self, step: list[Row] | str) -> None:
        if isinstance(step, str):
            self._work(step)
        else:
            change = merge_objects(photos(step), ScannedRows(self.expected.lazy()), RAW_IMAGES, NearDuplicates())
            self.expected = applied(self.expected, change)
            self.table.commit(photos(step))
        self.versions[self.table.version() or 0] = self.expected

    def _work(self, step: str) -> None:
        store = self.table.objects
        index = manifest.newest(store)
        if step == "cover a file":
            build.help_along(self.table)
        elif step == "maintain":
            build.maintain(self.table)
            assert self._known().uncovered.is_empty()
        elif step == "maintain the table":
            maintain(self.table, POLICY)
        elif step == "lose a run" and index and index.runs and store.exists(index.runs[0].key):
            store.delete([index.runs[0].key])
        elif step == "lose the manifest" and index:
            store.delete([max(stored.key for stored in store.list(f"{manifest.FOLDER}manifests/"))])
        elif step == "restore":
            opened, version = self.table.open(), min(self.versions)
            if opened is not None and opened.version() > version:
                opened.restore(version)
                self.expected = self.versions[version]

    def assert_answers(self) -> None:
        known, rests = self._known(), ScannedRows(self.expected.lazy())
        _assert_same(known.between(DAY, DAY + timedelta(days=DAYS)), self.expected.lazy())
        hashes = pl.Series([photo("any", content)["sha256"] for content in range(CONTENTS)])
        for some in (hashes, hashes[1:2], hashes[:0]):
            _assert_same(known.accepted_with(some), rests.accepted_with(some))
            _assert_same(known.copies_of(some), rests.copies_of(some))
        groups = self.expected["near_duplicate_group"].drop_nulls().unique().sort()
        for some in (groups, groups[:1]):
            _assert_same(known.members_of(some), rests.members_of(some))
        assert accepted_twice(known, DAY).is_empty()

    def _known(self) -> IndexedRows:
        known: KnownRows = self.table.known_rows()
        assert isinstance(known, IndexedRows)
        return known


def _assert_same(found: pl.LazyFrame, expected: pl.LazyFrame) -> None:
    rows, others = (frame.collect().sort("day", "key") for frame in (found, expected))
    assert rows.equals(others), f"{rows}\n{others}"


@pytest.fixture
def _one_file_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the index in many steps and runs, and delete unneeded files at once."""
    monkeypatch.setattr(build, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(build, "MOST_UNCOVERED_FILES", 1)
    monkeypatch.setattr(manifest, "KEEP_UNNEEDED", timedelta(0))


# The patches apply to all examples.
patched_for_all = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("_one_file_at_once")
@settings(patched_for_all, max_examples=10)
@given(histories())
def test_look_ups_on_disk_find_what_a_scan_finds_whatever_the_index_covers(steps: list[list[Row] | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        live(Lake(Path(folder).as_uri()), steps)


@pytest.mark.s3
@pytest.mark.usefixtures("_one_file_at_once")
@settings(patched_for_all, max_examples=2)
@given(steps=histories())
def test_look_ups_on_s3_find_what_a_scan_finds_whatever_the_index_covers(
    s3_lake: LakeUnderTest, steps: list[list[Row] | str]
) -> None:
    live(Lake(f"{s3_lake.url}/{uuid.uuid4()}", s3_lake.lake.storage_options), steps)


def live(lake: Lake, steps: Sequence[list[Row] | str]) -> None:
    history = History(lake.table("raw_images"))
    for step in steps:
        history.do(step)
        history.assert_answers()


def test_a_commit_reads_only_the_days_that_hold_its_bytes(disk_lake: LakeUnderTest) -> None:
    """The files of the other days are deleted, so that reading one would fail."""
    table = disk_lake.lake.table("raw_images")
    days = [DAY + timedelta(days=n) for n in range(40)]
    for day in days:
        table.commit(photos([photo("a", day, day, perceptual_hash=None)]))
    build.maintain(table)
    for path in _data_files(table):
        if f"day={days[3]}" not in str(path):
            path.unlink()
    new_day = days[-1] + timedelta(days=1)
    table.commit(
        photos(
            [photo(name, content, new_day, perceptual_hash=None) for name, content in (("b", days[3]), ("c", "new"))]
        )
    )
    rows = table.scan(new_day, new_day).sort("key").collect()
    assert rows["status"].to_list() == [DUPLICATE, ACCEPTED]
    assert accepted_twice(table.known_rows(), new_day).is_empty()


def test_an_old_lake_is_read_whole_until_commits_have_built_its_index(
    disk_lake: LakeUnderTest, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = disk_lake.lake.table("raw_images")
    monkeypatch.setattr(build, "MOST_UNCOVERED_FILES", 1_000)
    monkeypatch.setattr("shelf_assets.lake.hash_index.rows._MANY_UNCOVERED", 3)
    monkeypatch.setattr(build, "ROWS_AT_ONCE", 3)
    days = [DAY + timedelta(days=n) for n in range(6)]
    for day in days:
        table.commit(photos([photo("a", day, day)]))
    assert manifest.newest(table.objects) is None
    monkeypatch.setattr(build, "MOST_UNCOVERED_FILES", 1)
    for n, name in enumerate("bcd"):
        table.commit(photos([photo(name, days[n], days[5])]))
    assert "6 of 6 data files are not in the hash index yet" in caplog.text
    known = table.known_rows()
    assert isinstance(known, IndexedRows) and known.uncovered.height <= 1
    assert table.scan(days[5], days[5]).collect()["status"].to_list().count(DUPLICATE) == 3


def _data_files(table: LakeTable) -> list[Path]:
    return list(Path(table.uri.removeprefix("file://")).glob("day=*/*.parquet"))
