"""Keys of landed photos, and storing them unchanged, as `shelf land --as-is` and the demo do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from shelf_assets.lake.image_ids import RANDOM_BITS, uuid7
from shelf_assets.lake.object_store import ObjectStore, day_prefix


def landed_key(day: date, name: str, data: bytes) -> str:
    """Object key of a landed photo: a UUIDv7 of the day's midnight whose random bits are a digest of name and bytes.

    Landing the same file twice on one day therefore gives the same key. The same bytes under two names are two objects, of
    which `raw_images` accepts one.
    """
    milliseconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    random_bits = int.from_bytes(hashlib.sha256(name.encode() + b"\0" + data).digest()[: RANDOM_BITS // 8], "big")
    return f"{day_prefix(day)}{uuid7(milliseconds, random_bits)}"


def land(store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Put (name, bytes) under the day's prefix and yield each key; objects that exist already are not written again."""
    present = {stored.key for stored in store.list(day_prefix(day))}
    for name, data in files:
        key = landed_key(day, name, data)
        if key not in present:
            store.put(key, data)
        yield key
