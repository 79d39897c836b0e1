"""Reading many objects: whole, in order, within bounds, also when keys vanish and readers are slow."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from shelf_assets.lake.object_store import ObjectGone, ObjectStore, StoredObject, day_prefix, image_id_of
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY

UUID = "01956d2e-0c00-7000-8000-000000000001"


def fill(store: ObjectStore, count: int, size_bytes: int = 10) -> list[StoredObject]:
    for n in range(count):
        store.put(f"{day_prefix(DAY)}{n:04}", f"{n:04}".encode().ljust(size_bytes, b"."))
    return sorted(store.list(day_prefix(DAY)), key=lambda stored: stored.key)


def read(store: ObjectStore, objects: Iterator[StoredObject] | list[StoredObject], work, **bounds: int):
    defaults = {"in_flight_objects": 8, "in_flight_bytes": 1_000_000, "work_slots": 4, "skip_above_bytes": 1_000_000}
    return store.read_each(objects, work, **(defaults | bounds))


def test_keys_beyond_the_first_page_are_forgotten(lake: LakeUnderTest) -> None:
    import asyncio

    import obstore

    store = lake.lake.objects

    async def fill_fast() -> None:
        gate = asyncio.Semaphore(32)

        async def put(n: int) -> None:
            async with gate:
                await obstore.put_async(store.store, f"{day_prefix(DAY)}{n:05}", b"x")

        await asyncio.gather(*(put(n) for n in range(2_500)))

    asyncio.run(fill_fast())
    store.put("images/2025/03/011/not-of-this-day", b"x")
    listed = lake.lake.listing(DAY)
    assert listed.height == 2_500
    assert listed["key"].is_unique().all() and listed["key"].is_sorted()
    assert listed["etag"].str.len_chars().min() > 0
    assert listed["received_at"].dtype.time_zone == "UTC"


def test_an_empty_day_is_an_error(lake: LakeUnderTest) -> None:
    assert lake.lake.listing(DAY).is_empty()
    assert lake.lake.accepted(DAY).is_empty()


def test_an_overwritten_object_keeps_its_etag(lake: LakeUnderTest) -> None:
    [before] = fill(lake.lake.objects, 1)
    lake.lake.objects.put(before.key, b"something else")
    [after] = lake.lake.objects.list(day_prefix(DAY))
    assert before.etag and after.etag and before.etag != after.etag


def test_objects_are_read_out_of_order_or_twice(lake: LakeUnderTest) -> None:
    objects = fill(lake.lake.objects, 60)

    def work(stored: StoredObject, data: bytes | None) -> tuple[str, bytes | None]:
        time.sleep(0.002 * (int(stored.key[-1]) % 3))
        return stored.key, data

    results = list(read(lake.lake.objects, objects, work))
    assert results == [(o.key, o.key[-4:].encode().ljust(10, b".")) for o in objects]


def test_a_key_that_vanished_ends_the_day(lake: LakeUnderTest) -> None:
    objects = fill(lake.lake.objects, 5)
    lake.lake.objects.delete([objects[2].key])
    results = list(read(lake.lake.objects, objects, lambda stored, data: data is None))
    assert results == [False, False, True, False, False]
    with pytest.raises(ObjectGone, match=objects[2].key):
        lake.lake.objects.get(objects[2].key)


def test_an_object_above_the_limit_is_read(disk_lake: LakeUnderTest) -> None:
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


def test_more_bytes_are_held_than_allowed(disk_lake: LakeUnderTest) -> None:
    store = CountingStore(disk_lake.url)
    objects = fill(store, 60, size_bytes=1_000)
    for data in read(store, objects, lambda _, data: data, in_flight_objects=32, in_flight_bytes=10_000):
        store.release(len(data))
    assert store.reads == 60
    # What was just yielded is in the consumer's hands, so one more than the bound may be counted.
    assert 5_000 < store.most_bytes <= 11_000


def test_an_object_larger_than_the_bound_is_never_read(disk_lake: LakeUnderTest) -> None:
    objects = fill(disk_lake.lake.objects, 3, size_bytes=5_000)
    sizes = list(read(disk_lake.lake.objects, objects, lambda _, data: len(data or b""), in_flight_bytes=1_000))
    assert sizes == [5_000] * 3


def test_a_slow_consumer_does_not_stop_the_reading(disk_lake: LakeUnderTest) -> None:
    store = CountingStore(disk_lake.url)
    results = read(store, fill(store, 40), lambda stored, _: stored.key, in_flight_objects=4)
    next(results)
    time.sleep(0.3)
    assert store.reads <= 5
    assert len(list(results)) == 39 and store.reads == 40


def test_closing_the_reader_leaves_threads_reading(disk_lake: LakeUnderTest) -> None:
    store = CountingStore(disk_lake.url)
    listed = iter(fill(store, 40))
    results = read(store, listed, lambda stored, _: stored.key, in_flight_objects=4)
    next(results)
    results.close()
    reads, threads = store.reads, [t for t in threading.enumerate() if t.name.startswith("read")]
    time.sleep(0.1)
    assert store.reads == reads <= 5 and not threads
    assert len(list(listed)) >= 35, "the listing was not drawn to its end"


def test_more_is_worked_on_at_once_than_there_are_slots(disk_lake: LakeUnderTest) -> None:
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


def test_an_error_in_the_work_is_swallowed_or_hangs(disk_lake: LakeUnderTest) -> None:
    def work(stored: StoredObject, _data: bytes | None) -> str:
        if stored.key.endswith("0007"):
            raise ZeroDivisionError(stored.key)
        return stored.key

    results = read(disk_lake.lake.objects, fill(disk_lake.lake.objects, 20), work)
    assert [next(results)[-4:] for _ in range(7)] == [f"{n:04}" for n in range(7)]
    with pytest.raises(ZeroDivisionError, match="0007"):
        next(results)


def test_an_image_changes_its_identity_or_shares_it() -> None:
    assert image_id_of(f"images/2025/03/01/{UUID}") == UUID
    # What the door would not write could be there twice: two photos of one identity overwrite each other's answers.
    assert (
        len({image_id_of(f"images/2025/03/01/{name}") for name in (UUID, UUID.upper(), f"a/{UUID}", f"b/{UUID}")}) == 4
    )
    named = [image_id_of(f"images/2025/03/{day}/shelf.jpg") for day in ("01", "02")]
    assert named == [image_id_of(f"images/2025/03/{day}/shelf.jpg") for day in ("01", "02")]
    assert len({*named, image_id_of("images/2025/03/01/" + "x" * 36)}) == 3
    assert all(uuid.UUID(name).version == 5 for name in named)


def test_a_listing_tells_another_time_than_the_store(lake: LakeUnderTest) -> None:
    [stored] = fill(lake.lake.objects, 1)
    assert abs((datetime.now(UTC) - stored.received_at).total_seconds()) < 60
