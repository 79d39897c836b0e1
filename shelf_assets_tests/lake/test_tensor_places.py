"""Only the needed record batches of a shard are read; older shards, whose index has no positions, can be read too."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import Buffer, ObjectStore
from shelf_assets.lake.tensor_store import BATCHES_AHEAD, ROWS_PER_RECORD_BATCH, TensorDay
from shelf_assets.vision.engine import batched
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY
from shelf_assets_tests.lake.test_tensor_store import SIZE_PX, read_back, tensor, tensors, wanted


class CountingStore(ObjectStore):
    """Counts the reads of shards."""

    def __init__(self, other: ObjectStore) -> None:
        super().__init__(other.root_url, other.s3_config)
        self.ranges: list[int] = []

    def get_range(self, key: str, start_bytes: int, size_bytes: int) -> Buffer:
        self.ranges.append(size_bytes)
        return super().get_range(key, start_bytes, size_bytes)


def counted_day(lake: LakeUnderTest, count: int) -> tuple[TensorDay, CountingStore]:
    store = CountingStore(lake.lake.objects)
    day = TensorDay(store, "geometry-digest", DAY, SIZE_PX)
    day.write(tensors(count), shard_images=count)
    return day, store


def test_few_photos_read_only_their_record_batches(lake: LakeUnderTest) -> None:
    day, store = counted_day(lake, 10 * ROWS_PER_RECORD_BATCH + 5)
    found = read_back(day, wanted(ROWS_PER_RECORD_BATCH, 10 * ROWS_PER_RECORD_BATCH + 4))
    assert all(np.array_equal(pixels, tensor(int(name[1:])).pixels) for name, pixels in found.items())
    assert len(found) == len(store.ranges) == 2
    assert max(store.ranges) < 2 * ROWS_PER_RECORD_BATCH * 3 * SIZE_PX * SIZE_PX


def test_shard_without_offsets_in_its_index_is_readable(lake: LakeUnderTest) -> None:
    day, store = counted_day(lake, 150)
    [index_key] = [stored.key for stored in store.list(day.prefix) if stored.key.endswith(".json")]
    index = json.loads(store.get(index_key))
    del index["batches"]
    store.put(index_key, json.dumps(index).encode())
    found = read_back(day, wanted(*range(150)))
    assert len(found) == 150 and not store.ranges
    assert all(np.array_equal(pixels, tensor(int(name[1:])).pixels) for name, pixels in found.items())


def test_closed_reader_stops_reading(disk_lake: LakeUnderTest) -> None:
    day, store = counted_day(disk_lake, 20 * ROWS_PER_RECORD_BATCH)
    batches = batched(day.read(wanted(*range(20 * ROWS_PER_RECORD_BATCH))), ROWS_PER_RECORD_BATCH)
    next(batches)
    batches.close()
    assert len(store.ranges) <= BATCHES_AHEAD + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("shard")]


def test_truncated_shard_raises(lake: LakeUnderTest) -> None:
    day, store = counted_day(lake, 100)
    [shard_key] = [stored.key for stored in store.list(day.prefix) if stored.key.endswith(".arrow")]
    whole = store.get(shard_key)
    store.put(shard_key, whole[: len(whole) // 3])
    with pytest.raises((StoreUnavailable, OSError)):
        read_back(day, wanted(*range(100)))


def test_expired_tensors_are_missing_and_written_again(lake: LakeUnderTest) -> None:
    day, store = counted_day(lake, 10)
    day.write(tensors(5, first=10), shard_images=5)
    store.delete([next(stored.key for stored in store.list(day.prefix) if stored.key.endswith(".arrow"))])
    gone = day.index().missing(wanted(*range(15)))
    assert gone.height in (5, 10) and len(read_back(day, wanted(*range(15)))) == 15 - gone.height
    day.write([tensor(int(name[1:])) for name in gone["image_id"]], shard_images=10)
    assert len(read_back(day, wanted(*range(15)))) == 15
