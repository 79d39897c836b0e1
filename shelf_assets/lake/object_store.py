"""The lake's objects: one store for a folder and for S3, listed in pages and read many at a time, bounded in memory.

What the bytes mean belongs in `vision`; tables have their own clients (`delta`).
"""

from __future__ import annotations

import io
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, S3Store

from shelf_assets.lake.errors import explained

Result = TypeVar("Result")

IMAGES = "images"
_DOOR_KEY = re.compile(rf"{IMAGES}/\d{{4}}/\d\d/\d\d/([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})")
# Identity of all other objects: a UUIDv5 of the key in this namespace.
_KEY_NAMESPACE = uuid.UUID("7b0cf4a5-8a39-5b25-a0b7-6c9f0d9d6c11")


class ObjectGone(LookupError):
    """The key was listed, and is no longer there."""


@dataclass(frozen=True)
class StoredObject:
    key: str
    size_bytes: int
    etag: str
    received_at: datetime


def day_prefix(day: date) -> str:
    return f"{IMAGES}/{day:%Y/%m/%d}/"


def image_id_of(key: str) -> str:
    """The UUID that the door named the object by, else a UUIDv5 of the whole key: stable, and one key's alone in a day.

    Only a key of the door's own form counts, a lower-case UUID right under the day's prefix: two others could share one.
    """
    own = _DOOR_KEY.fullmatch(key)
    return own[1] if own else str(uuid.uuid5(_KEY_NAMESPACE, key))


class Download(io.RawIOBase):
    """An object being read, as Python's own kind of file: pyarrow asks for `closed`, which obstore's reader has not."""

    def __init__(self, file: obstore.ReadableFile, key: str, root_url: str) -> None:
        self._file, self._key, self._root_url = file, key, root_url

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> Any:
        with explained(f"reading {self._key}", self._root_url):
            if size < 0:
                return self._file.read()
            parts = []  # obstore reads up to one buffer at a time; a record batch of tensors is larger than that
            while size > 0 and (part := self._file.read(size)):
                parts.append(part)
                size -= len(part)
            return b"".join(parts)


class Upload(io.RawIOBase):
    """An object being written, as Python's own kind of file: obstore's `closed` is a method, which pyarrow takes for "yes"."""

    def __init__(self, file: obstore.WritableFile, key: str, root_url: str) -> None:
        self._file, self._key, self._root_url = file, key, root_url

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with explained(f"writing {self._key}", self._root_url):
            return self._file.write(bytes(data))

    def close(self) -> None:
        if not self.closed:
            super().close()
            with explained(f"writing {self._key}", self._root_url):
                self._file.close()

    def __del__(self) -> None:
        """An upload that nobody closed is dropped: half an object must not appear."""


class ObjectStore:
    """Objects under one root. All keys are relative to it."""

    def __init__(self, root_url: str, s3_config: Mapping[str, str] | None = None) -> None:
        self.root_url = root_url.rstrip("/")
        parts = urlsplit(self.root_url)
        if parts.scheme == "s3":
            self.store: LocalStore | S3Store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=dict(s3_config or {}),  # type: ignore[arg-type]
                client_options={
                    "timeout": timedelta(seconds=60),
                    "allow_http": True,
                    "pool_max_idle_per_host": "128",
                },
                retry_config={
                    "max_retries": 4,
                    "retry_timeout": timedelta(seconds=60),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=5),
                        "base": 2,
                    },
                },
            )
        else:
            with explained("opening the lake", self.root_url):
                self.store = LocalStore(Path(unquote(parts.path)), mkdir=True)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects under a prefix, by pages of 1,000; any number of them without holding more than a page."""
        with explained(f"listing {prefix}", self.root_url):
            for page in obstore.list(self.store, prefix, chunk_size=1000):
                for meta in page:
                    yield StoredObject(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])

    def get(self, key: str) -> bytes:
        with explained(f"reading {key}", self.root_url):
            try:
                return bytes(obstore.get(self.store, key).bytes())
            except (NotFoundError, FileNotFoundError) as gone:
                if "NoSuchBucket" in str(gone):
                    raise  # not one photo is gone but all of them
                raise ObjectGone(key) from gone

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole: readers see all of it or nothing."""
        with explained(f"writing {key}", self.root_url):
            obstore.put(self.store, key, data)

    def exists(self, key: str) -> bool:
        with explained(f"looking for {key}", self.root_url):
            try:
                obstore.head(self.store, key)
            except (NotFoundError, FileNotFoundError):
                return False
            return True

    def delete(self, keys: Sequence[str]) -> None:
        with explained("deleting", self.root_url):
            obstore.delete(self.store, list(keys))

    def open_reader(self, key: str) -> Download:
        with explained(f"opening {key}", self.root_url):
            return Download(obstore.open_reader(self.store, key, buffer_size=8 << 20), key, self.root_url)

    def open_writer(self, key: str) -> Upload:
        """A file to write to; the object appears, whole, when it is closed."""
        with explained(f"writing {key}", self.root_url):
            return Upload(obstore.open_writer(self.store, key, buffer_size=8 << 20), key, self.root_url)

    def read_each(
        self,
        objects: Iterable[StoredObject],
        work: Callable[[StoredObject, bytes | None], Result],
        *,
        in_flight_objects: int,
        in_flight_bytes: int,
        work_slots: int,
        skip_above_bytes: int,
    ) -> Iterator[Result]:
        """Read every object once and yield `work(object, bytes)` in the order given.

        Many objects are in flight, at most `work_slots` are worked on at a time and at most `in_flight_bytes` are held. An
        object that vanished, or is larger than `skip_above_bytes`, is given to `work` with None. Results wait in order, so
        a slow consumer stops the reading. Closing the generator stops it too.
        """
        slots = threading.BoundedSemaphore(work_slots)
        limit = min(skip_above_bytes, in_flight_bytes)

        def read(stored: StoredObject) -> Result:
            data: bytes | None = None
            if stored.size_bytes <= skip_above_bytes:
                try:
                    data = self.get(stored.key)
                except ObjectGone:
                    data = None
            with slots:
                return work(stored, data)

        waiting: deque[tuple[Future[Result], int]] = deque()
        held_bytes = 0
        pool = ThreadPoolExecutor(in_flight_objects, thread_name_prefix="read")
        try:
            for stored in objects:
                cost = min(stored.size_bytes, limit)
                while waiting and (len(waiting) >= in_flight_objects or held_bytes + cost > in_flight_bytes):
                    future, freed = waiting.popleft()
                    yield future.result()
                    held_bytes -= freed
                waiting.append((pool.submit(read, stored), cost))
                held_bytes += cost
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
