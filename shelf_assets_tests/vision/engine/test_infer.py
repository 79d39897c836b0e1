"""The inference loop: finished results are committed even if it ends early, and each model gets the photos that it needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import polars as pl
import pytest

from shelf_assets.vision.engine import PixelBatch, Task, read_ahead, run_tasks
from shelf_assets.vision.engine.infer import BATCHES_AHEAD

DEADLINE_SECONDS = 20


def batch(*numbers: int) -> PixelBatch:
    """Photos whose pixels all have the photo's number as value."""
    ids = [f"photo-{number}" for number in numbers]
    pixels = np.stack([np.full((3, 2, 2), number, np.uint8) for number in numbers])
    return PixelBatch(ids, [f"sha-{number}" for number in numbers], pixels)


def keys(*numbers: int) -> set[tuple[str, str]]:
    return {(f"photo-{number}", f"sha-{number}") for number in numbers}


def first_pixel(pixels: np.ndarray) -> list[dict[str, Any]]:
    return [{"value": int(photo[0, 0, 0])} for photo in pixels]


class Store:
    """Records committed chunks."""

    def __init__(self) -> None:
        self.chunks: list[list[int]] = []

    def commit(self, rows: pl.DataFrame) -> None:
        for row in rows.iter_rows(named=True):
            assert row["image_id"] == f"photo-{row['value']}" and row["sha256"] == f"sha-{row['value']}"
        self.chunks.append(rows["value"].to_list())

    @property
    def rows(self) -> list[int]:
        return [value for chunk in self.chunks for value in chunk]


def task(store: Store, missing: set[tuple[str, str]], **changes: Any) -> Task:
    """A task whose model is `infer`, a function from pixels to dictionaries of columns."""
    infer = changes.pop("infer", first_pixel)

    def submit(pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        rows = pl.DataFrame(infer(pixels))
        return lambda: rows

    named = {"name": "model", "submit": submit, "commit": store.commit, "timer": nullcontext, "chunk_images": 100}
    return Task(missing=missing, **{**named, **changes})


def ignore(_: int) -> None:
    """A progress callback that does nothing."""


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_each_model_infers_only_its_missing_photos() -> None:
    some, all_of_them = Store(), Store()
    seen: list[int] = []

    run_tasks(
        [batch(1, 2, 3), batch(4, 5)],
        [task(some, keys(2, 5)), task(all_of_them, keys(1, 2, 3, 4, 5))],
        seen.append,
    )

    assert some.rows == [2, 5]
    assert all_of_them.rows == [1, 2, 3, 4, 5]
    assert seen == [3, 2]


def test_model_is_not_called_for_finished_batches() -> None:
    sizes: list[int] = []

    def infer(pixels: np.ndarray) -> list[dict[str, Any]]:
        sizes.append(len(pixels))
        return first_pixel(pixels)

    run_tasks([batch(1, 2), batch(3, 4), batch(5, 6)], [task(Store(), keys(3, 5, 6), infer=infer)], ignore)

    assert sizes == [1, 2]


def test_photo_with_other_bytes_is_not_inferred() -> None:
    store = Store()
    run_tasks([batch(1, 2)], [task(store, {("photo-1", "sha of other bytes"), *keys(2)})], ignore)
    assert store.rows == [2]


def test_commits_are_chunked() -> None:
    store = Store()
    batches = [batch(number, number + 1) for number in range(0, 10, 2)]
    run_tasks(batches, [task(store, keys(*range(10)), chunk_images=4)], ignore)
    assert [len(chunk) for chunk in store.chunks] == [4, 4, 2]


def test_nothing_missing_makes_no_commit() -> None:
    store = Store()
    run_tasks([batch(1, 2)], [task(store, set())], ignore)
    assert store.chunks == []


def test_inferred_photos_are_committed_when_a_later_batch_fails() -> None:
    first, second = Store(), Store()

    def fails_at_three(pixels: np.ndarray) -> list[dict[str, Any]]:
        if pixels[0, 0, 0, 0] == 3:
            raise RuntimeError("CUDA out of memory")
        return first_pixel(pixels)

    with pytest.raises(RuntimeError, match="out of memory"):
        run_tasks(
            [batch(1, 2), batch(3, 4), batch(5)],
            [task(first, keys(1, 2, 3, 4, 5)), task(second, keys(1, 2, 3, 4, 5), infer=fails_at_three)],
            ignore,
        )

    assert first.rows == [1, 2, 3, 4]
    assert second.rows == [1, 2]


def test_inferred_photos_are_committed_when_a_shard_is_unreadable() -> None:
    store = Store()

    def torn() -> Iterator[PixelBatch]:
        yield batch(1, 2)
        raise OSError("shard 2 of the day is torn")

    with pytest.raises(OSError, match="torn"):
        run_tasks(torn(), [task(store, keys(1, 2))], ignore)

    assert store.rows == [1, 2]


def test_inferred_photos_are_committed_on_ctrl_c() -> None:
    store = Store()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tasks([batch(1, 2), batch(3)], [task(store, keys(1, 2, 3))], interrupted)

    assert store.rows == [1, 2]


def test_rows_are_committed_when_another_models_table_fails() -> None:
    store = Store()

    def refused(_: pl.DataFrame) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        run_tasks([batch(1, 2)], [task(Store(), keys(1, 2), commit=refused), task(store, keys(1, 2))], ignore)

    assert store.rows == [1, 2]


def test_model_with_too_few_rows_is_refused() -> None:
    store = Store()
    with pytest.raises(ValueError, match="1 rows for 2 photos"):
        run_tasks([batch(1, 2)], [task(store, keys(1, 2), infer=lambda pixels: first_pixel(pixels)[:1])], ignore)


def test_read_ahead_keeps_order_and_items() -> None:
    assert list(read_ahead(range(100), 3)) == list(range(100))
    assert list(read_ahead([], 3)) == []


def test_reading_error_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the store answers no more")

    read = read_ahead(items(), 2)
    assert next(read) == 1
    with pytest.raises(ValueError, match="no more"):
        next(read)


def test_read_ahead_holds_a_bounded_number_of_batches() -> None:
    fetched: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            fetched.append(number)
            yield number

    read = read_ahead(items(), BATCHES_AHEAD)
    next(read)
    # One was yielded, the queue is full, and one more waits to be put.
    assert eventually(lambda: len(fetched) == BATCHES_AHEAD + 2)
    time.sleep(0.3)
    assert len(fetched) == BATCHES_AHEAD + 2
    read.close()


def test_reading_thread_ends_with_its_consumer() -> None:
    before = set(threading.enumerate())
    read = read_ahead(iter(range(1_000_000)), 2)
    next(read)
    started = set(threading.enumerate()) - before
    assert len(started) == 1

    read.close()

    assert eventually(lambda: not any(thread.is_alive() for thread in started))


def test_next_batch_is_submitted_before_the_answer() -> None:
    """The second batch is submitted before the results of the first one are collected, and no third."""
    calls: list[str] = []

    def submit(pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        number = int(pixels[0, 0, 0, 0])
        calls.append(f"submit {number}")

        def answer() -> pl.DataFrame:
            calls.append(f"answer {number}")
            return pl.DataFrame(first_pixel(pixels))

        return answer

    store = Store()
    run_tasks([batch(1), batch(2), batch(3)], [task(store, keys(1, 2, 3), submit=submit)], ignore)

    assert calls == ["submit 1", "submit 2", "answer 1", "submit 3", "answer 2", "answer 3"]
    assert store.rows == [1, 2, 3]


def test_pending_answer_is_committed_when_another_model_fails() -> None:
    def never(pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        def answer() -> pl.DataFrame:
            raise RuntimeError("the device was lost")

        return answer

    store = Store()
    with pytest.raises(RuntimeError, match="device was lost"):
        run_tasks([batch(1, 2)], [task(Store(), keys(1, 2), submit=never), task(store, keys(1, 2))], ignore)

    assert store.rows == [1, 2]


def test_interrupted_pass_closes_its_reader() -> None:
    closed = threading.Event()

    def batches() -> Iterator[PixelBatch]:
        try:
            for number in range(1_000):
                yield batch(number)
        finally:
            closed.set()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tasks(batches(), [task(Store(), keys(0))], interrupted)

    assert closed.is_set()
