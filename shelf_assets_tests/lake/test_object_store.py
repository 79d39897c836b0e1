"""Stored objects: complete listings, entity tags, and stable image_ids."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from shelf_assets.lake.object_store import ObjectStore, StoredObject, day_prefix, image_id_of
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY

UUID = "01956d2e-0c00-7000-8000-000000000001"


def fill(store: ObjectStore, count: int, size_bytes: int = 10) -> list[StoredObject]:
    for n in range(count):
        store.put(f"{day_prefix(DAY)}{n:04}", f"{n:04}".encode().ljust(size_bytes, b"."))
    return sorted(store.list(day_prefix(DAY)), key=lambda stored: stored.key)


def test_listing_returns_keys_of_every_page(lake: LakeUnderTest) -> None:
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


def test_listing_of_an_empty_day_is_empty(lake: LakeUnderTest) -> None:
    assert lake.lake.listing(DAY).is_empty()
    assert lake.lake.accepted(DAY).is_empty()


def test_overwritten_object_has_a_new_etag(lake: LakeUnderTest) -> None:
    [before] = fill(lake.lake.objects, 1)
    lake.lake.objects.put(before.key, b"something else")
    [after] = lake.lake.objects.list(day_prefix(DAY))
    assert before.etag and after.etag and before.etag != after.etag


def test_image_id_is_stable_and_unique_per_key() -> None:
    assert image_id_of(f"images/2025/03/01/{UUID}") == UUID
    # Keys that the upload API does not write may contain the same UUID twice, so they must get different image_ids.
    assert (
        len({image_id_of(f"images/2025/03/01/{name}") for name in (UUID, UUID.upper(), f"a/{UUID}", f"b/{UUID}")}) == 4
    )
    named = [image_id_of(f"images/2025/03/{day}/shelf.jpg") for day in ("01", "02")]
    assert named == [image_id_of(f"images/2025/03/{day}/shelf.jpg") for day in ("01", "02")]
    assert len({*named, image_id_of("images/2025/03/01/" + "x" * 36)}) == 3
    assert all(uuid.UUID(name).version == 5 for name in named)


def test_listing_returns_the_time_of_the_store(lake: LakeUnderTest) -> None:
    [stored] = fill(lake.lake.objects, 1)
    assert abs((datetime.now(UTC) - stored.received_at).total_seconds()) < 60
