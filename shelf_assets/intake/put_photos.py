"""Putting photos under a day's prefix, as `shelf land` and the demo do it. Judging them is `raw_images`' work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from shelf_assets.lake.image_ids import RANDOM_BITS, uuid7
from shelf_assets.lake.object_store import ObjectStore, day_prefix


def landed_key(day: date, name: str, data: bytes) -> str:
    """The object key of a photo: a UUIDv7 with the day's midnight as time and a digest of name and bytes as its random part.

    The same file landed twice on a day therefore meets its own key; the same bytes under two names are two objects, of
    which `raw_images` accepts one.
    """
    milliseconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    random_bits = int.from_bytes(hashlib.sha256(name.encode() + b"\0" + data).digest()[: RANDOM_BITS // 8], "big")
    return f"{day_prefix(day)}{uuid7(milliseconds, random_bits)}"


def land(store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Put (name, bytes) under the day's prefix and yield each key; what is there already is left as it is."""
    present = {stored.key for stored in store.list(day_prefix(day))}
    for name, data in files:
        key = landed_key(day, name, data)
        if key not in present:
            store.put(key, data)
        yield key


@dataclass(frozen=True)
class Folder:
    """The photos below a folder: its regular files, hidden ones left out, and `too_large` ones, which nobody reads."""

    root: Path
    files: list[Path]
    too_large: list[Path]

    @property
    def notice(self) -> str:
        """A sentence on what is not landed; empty when that is nothing."""
        names = ", ".join(path.name for path in self.too_large[:5]) + (" …" if len(self.too_large) > 5 else "")
        return f"left out, larger than SHELF_PHOTOS_MAX_BYTES: {names}" if self.too_large else ""

    def read(self, first: int = 0, step: int = 1) -> Iterator[tuple[str, bytes]]:
        """(relative name, bytes) of every `step`th file from `first` on."""
        for path in self.files[first::step]:
            yield str(path.relative_to(self.root)), path.read_bytes()


def open_folder(folder: Path, max_bytes: int) -> Folder:
    """List a folder; a video of gigabytes among the photos must not pass through memory. Raises ValueError without one."""
    root = folder.expanduser()
    if not root.is_dir():
        raise ValueError(f"{folder} is no folder")
    opened = Folder(root, [], [])
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            (opened.files if path.stat().st_size <= max_bytes else opened.too_large).append(path)
    return opened
