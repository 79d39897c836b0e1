"""Putting photos under a day's prefix, as `shelf land` and the demo do it. Judging them is `raw_images`' work."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from shelf_assets.lake.object_store import ObjectStore, day_prefix


def landed_key(day: date, name: str, data: bytes) -> str:
    """The object key of a photo: a UUIDv7 with the day's midnight as time and a digest of name and bytes as its random part.

    The same file landed twice on a day therefore meets its own key; the same bytes under two names are two objects, of
    which `raw_images` accepts one.
    """
    milliseconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    random_bits = int.from_bytes(hashlib.sha256(name.encode() + b"\0" + data).digest()[:10], "big")
    value = (
        (milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random_bits >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random_bits & (1 << 62) - 1
    )
    return f"{day_prefix(day)}{uuid.UUID(int=value)}"


def land(store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Put (name, bytes) under the day's prefix and yield each key; what is there already is left as it is."""
    present = {stored.key for stored in store.list(day_prefix(day))}
    for name, data in files:
        key = landed_key(day, name, data)
        if key not in present:
            store.put(key, data)
        yield key


def folder_files(folder: Path, first: int = 0, step: int = 1) -> Iterator[tuple[str, bytes]]:
    """The regular files below the folder by relative name, every `step`th from `first` on; hidden ones are left out."""
    for path in _files(folder)[first::step]:
        yield str(path.relative_to(folder)), path.read_bytes()


def count_files(folder: Path) -> int:
    """How many files `folder_files` yields."""
    return len(_files(folder))


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
