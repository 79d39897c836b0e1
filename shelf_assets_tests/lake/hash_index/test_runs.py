"""Runs return the same entries as plain lists, for any number of entries and after any merge."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_assets.lake.hash_index.entries import Entries, united
from shelf_assets.lake.hash_index.runs import BLOCK_ENTRIES, Run, RunGone, merged, write_run
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets_tests.conftest import LakeUnderTest

LARGEST = 2**64 - 1
# Few different keys, some of them extreme, so that one key spans several blocks and parts.
keys = st.one_of(st.integers(0, 3), st.integers(LARGEST - 2, LARGEST), st.integers(0, LARGEST))
pairs = st.lists(st.tuples(keys, st.integers(0, 5)), max_size=30)


def entries(rows: list[tuple[int, int]]) -> Entries:
    numbers = np.array([key for key, _ in rows], np.uint64), np.array([value for _, value in rows], np.int32)
    return united([Entries(*numbers)])


def random_entries(count: int, seed: int = 0) -> Entries:
    random = np.random.default_rng(seed)
    numbers = random.integers(0, LARGEST, count, np.uint64, endpoint=True)
    numbers[: count // 10] = numbers[0]
    return united([Entries(numbers, random.integers(0, 2**31 - 1, count, np.int32))])


def every_entry(parts: Iterator[Entries]) -> list[tuple[int, int]]:
    return [pair for part in parts for pair in zip(part.keys.tolist(), part.values.tolist(), strict=True)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    return ObjectStore(tmp_path_factory.mktemp("runs").as_uri())


def assert_finds(run: Run, held: Entries, asked: np.ndarray) -> None:
    expected = held.values[np.isin(held.keys, asked)]
    assert run.find(asked).tolist() == expected.tolist()


@given(pairs, st.lists(keys, max_size=5))
def test_a_run_finds_exactly_the_values_of_the_keys_that_are_asked(rows: list[tuple[int, int]], others: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held = entries(rows)
        run = write_run(ObjectStore(Path(folder).as_uri()), "one.run", iter([held]))
        assert_finds(run, held, np.unique(np.array([*held.keys.tolist()[::2], *others], np.uint64)))


@pytest.mark.parametrize("count", [1, BLOCK_ENTRIES - 1, BLOCK_ENTRIES, BLOCK_ENTRIES + 1, 10_000, 300_000])
def test_a_run_of_any_size_finds_its_first_its_last_and_no_absent_key(store: ObjectStore, count: int) -> None:
    held = random_entries(count)
    run = write_run(store, f"{count}.run", iter([held]))
    absent = np.setdiff1d(held.keys + np.uint64(1), held.keys)
    for asked in (held.keys[:1], held.keys[-1:], np.unique(held.keys[::7]), absent[::5], held.keys[:0]):
        assert_finds(run, held, asked)


@pytest.mark.parametrize("size", [1, BLOCK_ENTRIES, 1_000, 5_000])
def test_a_run_is_the_same_in_whatever_parts_it_is_written(store: ObjectStore, size: int) -> None:
    held = random_entries(5_000)
    parts = [Entries(held.keys[n : n + size], held.values[n : n + size]) for n in range(0, held.keys.size, size)]
    write_run(store, "whole", iter([held]))
    write_run(store, "parts", iter(parts))
    assert store.get("whole") == store.get("parts")


@given(st.lists(pairs, min_size=1, max_size=4))
def test_a_merged_run_holds_what_its_runs_held(parts: list[list[tuple[int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(Path(folder).as_uri())
        runs = [write_run(store, f"{n}.run", iter([entries(rows)])) for n, rows in enumerate(parts)]
        found = every_entry(merged(runs))
        assert [key for key, _ in found] == sorted(key for key, _ in found)
        assert set(found) == {pair for rows in parts for pair in rows}


def test_a_merge_drops_what_two_runs_hold_alike(store: ObjectStore) -> None:
    held = random_entries(300_000)
    twice = [write_run(store, name, iter([held])) for name in ("first", "second")]
    assert write_run(store, "merged", merged(twice)).entries < 1.01 * held.keys.size


def test_a_run_is_found_in_on_disk_and_on_s3_alike(lake: LakeUnderTest) -> None:
    held = random_entries(200_000)
    run = write_run(_folder(lake.lake), "a.run", iter([held]))
    for asked in (held.keys[:1], np.unique(held.keys[::1000]), np.unique(held.keys[5000:6000])):
        assert_finds(run, held, asked)
    assert every_entry(run.scan()) == every_entry(iter([held]))


def test_deleted_run_is_distinguished_from_an_unavailable_store(lake: LakeUnderTest) -> None:
    run = write_run(_folder(lake.lake), "a.run", iter([random_entries(1_000)]))
    run.objects.delete([run.key])
    with pytest.raises(RunGone, match=r"a\.run"):
        run.find(np.array([1], np.uint64))


def _folder(lake: Lake) -> ObjectStore:
    return lake.table("raw_images").objects
