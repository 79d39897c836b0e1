"""The reader: every object once, in order, within the limits, also if objects vanish or consumers are slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from shelf_assets.lake.object_store import ObjectGone, ObjectStore, StoredObject
from shelf_assets.vision.engine import Bounds, decode_each, read_each
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets.vision.reasons import Undecodable
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.test_object_store import fill
from shelf_assets_tests.vision.pictures import encoded, scene


def read(store: ObjectStore, objects: Iterator[StoredObject] | list[StoredObject], work, **bounds: int):
    defaults = {"in_flight_objects": 8, "in_flight_bytes": 1_000_000, "work_slots": 4, "skip_above_bytes": 1_000_000}
    return read_each(objects, store.find, work, Bounds(**(defaults | bounds)))


def test_objects_are_read_once_in_order(lake: LakeUnderTest) -> None:
    objects = fill(lake.lake.objects, 60)

    def work(stored: StoredObject, data: bytes | None) -> tuple[str, bytes | None]:
        time.sleep(0.002 * (int(stored.key[-1]) % 3))
        return stored.key, data

    results = list(read(lake.lake.objects, objects, work))
    assert results == [(o.key, o.key[-4:].encode().ljust(10, b".")) for o in objects]


def test_vanished_key_is_read_as_none(lake: LakeUnderTest) -> None:
    objects = fill(lake.lake.objects, 5)
    lake.lake.objects.delete([objects[2].key])
    results = list(read(lake.lake.objects, objects, lambda stored, data: data is None))
    assert results == [False, False, True, False, False]
    with pytest.raises(ObjectGone, match=objects[2].key):
        lake.lake.objects.get(objects[2].key)


def test_object_above_the_limit_is_not_read(disk_lake: LakeUnderTest) -> None:
    objects = fill(disk_lake.lake.objects, 3, size_bytes=100)
    assert list(read(disk_lake.lake.objects, objects, lambda _, data: data, skip_above_bytes=99)) == [None] * 3


class CountingStore(ObjectStore):
    """Counts the bytes and objects that are read and not yet yielded."""

    def __init__(self, root_url: str) -> None:
        super().__init__(root_url)
        self.lock = threading.Lock()
        self.held_bytes = self.held_objects = self.most_bytes = self.most_objects = self.reads = 0

    def get(self, key: str) -> bytes:
        data = super().get(key)
        with self.lock:
            self.reads += 1
            self.held_bytes += len(data)
            self.held_objects += 1
            self.most_bytes = max(self.most_bytes, self.held_bytes)
            self.most_objects = max(self.most_objects, self.held_objects)
        return data

    def release(self, size_bytes: int) -> None:
        with self.lock:
            self.held_bytes -= size_bytes
            self.held_objects -= 1


def test_bytes_in_flight_are_bounded(disk_lake: LakeUnderTest) -> None:
    store = CountingStore(disk_lake.url)
    objects = fill(store, 60, size_bytes=1_000)
    for data in read(store, objects, lambda _, data: data, in_flight_objects=32, in_flight_bytes=10_000):
        store.release(len(data))
    assert store.reads == 60
    # The object that was just yielded is still counted, so there may be one more than the limit.
    assert 5_000 < store.most_bytes <= 11_000


def test_object_larger_than_the_bound_is_read_alone(disk_lake: LakeUnderTest) -> None:
    objects = fill(disk_lake.lake.objects, 3, size_bytes=5_000)
    sizes = list(read(disk_lake.lake.objects, objects, lambda _, data: len(data or b""), in_flight_bytes=1_000))
    assert sizes == [5_000] * 3


def test_slow_consumer_stops_the_reading(disk_lake: LakeUnderTest) -> None:
    store = CountingStore(disk_lake.url)
    results = read(store, fill(store, 40), lambda stored, _: stored.key, in_flight_objects=4)
    next(results)
    time.sleep(0.3)
    assert store.reads <= 5
    assert len(list(results)) == 39 and store.reads == 40


def test_closing_the_reader_ends_its_threads(disk_lake: LakeUnderTest) -> None:
    store = CountingStore(disk_lake.url)
    listed = iter(fill(store, 40))
    results = read(store, listed, lambda stored, _: stored.key, in_flight_objects=4)
    next(results)
    results.close()
    reads, threads = store.reads, [t for t in threading.enumerate() if t.name.startswith("read")]
    time.sleep(0.1)
    assert store.reads == reads <= 5 and not threads
    assert len(list(listed)) >= 35, "the listing was not read to its end"


def test_concurrent_work_is_bounded_by_slots(disk_lake: LakeUnderTest) -> None:
    lock, at_once = threading.Lock(), [0, 0]

    def work(_stored: StoredObject, _data: bytes | None) -> None:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        time.sleep(0.005)
        with lock:
            at_once[0] -= 1

    list(read(disk_lake.lake.objects, fill(disk_lake.lake.objects, 40), work, in_flight_objects=16, work_slots=3))
    assert at_once[1] == 3


def test_error_in_the_work_is_raised_in_order(disk_lake: LakeUnderTest) -> None:
    def work(stored: StoredObject, _data: bytes | None) -> str:
        if stored.key.endswith("0007"):
            raise ZeroDivisionError(stored.key)
        return stored.key

    results = read(disk_lake.lake.objects, fill(disk_lake.lake.objects, 20), work)
    assert [next(results)[-4:] for _ in range(7)] == [f"{n:04}" for n in range(7)]
    with pytest.raises(ZeroDivisionError, match="0007"):
        next(results)


def test_broken_photo_keeps_its_place_among_decoded_photos() -> None:
    good = [encoded(scene(300 + number, 200)) for number in range(12)]
    found = list(decode_each([*good[:5], b"milk, eggs", *good[5:]], Geometry()))
    assert isinstance(found.pop(5), Undecodable)
    assert all(np.array_equal(tensor, to_tensor(data, Geometry())) for tensor, data in zip(found, good, strict=True))  # type: ignore[arg-type]
