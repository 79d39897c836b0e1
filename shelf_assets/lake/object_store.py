"""Objects of the lake: one store for a folder and for S3, listed in pages, read and written whole or as streams.

Reading many objects at a time belongs in `vision.engine`; tables have their own clients (`delta`).
"""

from __future__ import annotations

import io
import mmap
import random
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import GenericError, InvalidPathError, NotFoundError
from obstore.store import LocalStore, S3Store

from shelf_assets.lake import unsupported_keys
from shelf_assets.lake.errors import StoreUnavailable, store_errors
from shelf_assets.lake.unsupported_keys import UnsupportedKey, is_unsupported

IMAGES = "images"
_UPLOAD_KEY = re.compile(rf"{IMAGES}/\d{{4}}/\d\d/\d\d/([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})")
# 32 MB of an upload are in flight, which a link of 10 Mbit/s transfers within `answer_seconds`.
_PART_BYTES = 8 << 20
_PARTS_IN_FLIGHT = 4
# Namespace of the UUIDv5 that identifies an object without an uploaded photo's key.
_KEY_NAMESPACE = uuid.UUID("7b0cf4a5-8a39-5b25-a0b7-6c9f0d9d6c11")


# Bytes that were read; NumPy and Arrow use both types without a copy.
Buffer = memoryview | obstore.Bytes


class ObjectGone(LookupError):
    """The key does not exist (any more)."""


@dataclass(frozen=True)
class StoredObject:
    key: str
    size_bytes: int
    etag: str
    received_at: datetime


def day_prefix(day: date) -> str:
    return f"{IMAGES}/{day:%Y/%m/%d}/"


def image_id_of(key: str) -> str:
    """The UUID in the key of an uploaded photo, else a UUIDv5 of the key: stable, and unique within a day.

    Only keys of the upload API's form count (a lower-case UUID directly under the day's prefix): two keys of other forms
    could contain the same UUID.
    """
    own = _UPLOAD_KEY.fullmatch(key)
    return own[1] if own else str(uuid.uuid5(_KEY_NAMESPACE, key))


@dataclass(frozen=True)
class RetryOptions:
    """Retries and time-outs per request. S3 answers SlowDown for seconds while it splits a busy prefix.

    obstore waits a random time between `first_pause_seconds` and three times its last pause (AWS's decorrelated jitter),
    so that many readers do not retry at the same moment: seven retries take about 6 seconds, 19 at most.
    """

    tries_again: int = 7
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0
    # No retry begins later than this; if the last try hangs, a dead store is reported after 90 seconds.
    give_up_seconds: float = 60.0
    # Enough for 25 MB, the largest photo, on a shared link.
    answer_seconds: float = 60.0
    # A connection without any data for so long is closed, even if `answer_seconds` are not over.
    silence_seconds: float = 30.0

    def of_obstore(self) -> Any:
        return {
            "max_retries": self.tries_again,
            "retry_timeout": timedelta(seconds=self.give_up_seconds),
            "backoff": {
                "init_backoff": timedelta(seconds=self.first_pause_seconds),
                "max_backoff": timedelta(seconds=self.longest_pause_seconds),
                "base": 3,
            },
        }

    def pauses_seconds(self) -> Iterator[float]:
        pause = self.first_pause_seconds
        for _ in range(self.tries_again):
            yield pause
            pause = min(self.longest_pause_seconds, random.uniform(self.first_pause_seconds, 3 * pause))


class Download(io.RawIOBase):
    """An object being read, as a Python file: pyarrow needs `closed`, which obstore's reader lacks."""

    def __init__(self, file: obstore.ReadableFile, key: str, root_url: str) -> None:
        self._file, self._key, self._root_url = file, key, root_url

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> Any:
        with store_errors(f"reading {self._key}", self._root_url):
            if size < 0:
                return self._file.read()
            parts = []  # obstore reads up to one buffer at a time; a record batch of tensors is larger
            while size > 0 and (part := self._file.read(size)):
                parts.append(part)
                size -= len(part)
            return b"".join(parts)


class Upload(io.RawIOBase):
    """An object being written, as a Python file: obstore's `closed` is a method, which pyarrow takes for True."""

    def __init__(self, file: obstore.WritableFile, key: str, store: ObjectStore) -> None:
        self._file, self._key, self._store = file, key, store
        self._written_bytes = 0
        self._broken: StoreUnavailable | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._broken is not None:
            raise self._broken  # writing on after a lost part would make an object with a hole
        try:
            with store_errors(f"writing {self._key}", self._store.root_url):
                # pyarrow's buffers hold signed bytes, which obstore refuses; this is a view, not a copy.
                written = self._file.write(memoryview(data).cast("B"))
        except StoreUnavailable as error:
            self._broken = error
            raise
        self._written_bytes += written
        return written

    def tell(self) -> int:
        return self._written_bytes

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._broken is not None:
            raise self._broken
        with store_errors(f"writing {self._key}", self._store.root_url):
            try:
                self._file.close()
            except (GenericError, OSError) as error:
                # The last answer was lost, and obstore does not retry it; the object may exist nevertheless.
                if not _answer_was_cut(error) or self._store.size_bytes(self._key) != self._written_bytes:
                    raise

    def __del__(self) -> None:
        """Drop an upload that was not closed: half an object must not appear."""


class ObjectStore:
    """Objects under one root URL; all keys are relative to it."""

    def __init__(
        self, root_url: str, s3_config: Mapping[str, str] | None = None, retry_options: RetryOptions = RetryOptions()
    ) -> None:
        self.root_url = root_url.rstrip("/")
        self.s3_config, self.retry_options = dict(s3_config or {}), retry_options
        parts = urlsplit(self.root_url)
        self.on_s3 = parts.scheme == "s3"
        if self.on_s3:
            self.store: LocalStore | S3Store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=self.s3_config,  # type: ignore[arg-type]
                client_options={
                    "timeout": timedelta(seconds=retry_options.answer_seconds),
                    "read_timeout": timedelta(seconds=retry_options.silence_seconds),
                    "allow_http": True,
                    "pool_max_idle_per_host": "128",
                },
                retry_config=retry_options.of_obstore(),
            )
        else:
            with store_errors("opening the lake", self.root_url):
                self.store = LocalStore(self._root_folder, mkdir=True)

    @classmethod
    def of_delta(
        cls, root_url: str, storage_options: Mapping[str, str], retry_options: RetryOptions = RetryOptions()
    ) -> ObjectStore:
        """The store of delta-rs' storage options. `allow_http` is dropped: here the endpoint's URL decides."""
        return cls(
            root_url, {key: value for key, value in storage_options.items() if key != "allow_http"}, retry_options
        )

    @property
    def folder(self) -> Path | None:
        """The root on disk; None on S3."""
        return None if self.on_s3 else self._root_folder

    @property
    def _root_folder(self) -> Path:
        return Path(unquote(urlsplit(self.root_url).path))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects under a prefix, in pages of 1,000. Memory holds one page of a bucket, or all keys of a folder.

        A page whose answer is cut off is requested again. From a key that obstore does not support on, the rest is listed
        by `unsupported_keys`, so that one such key does not fail the day.
        """
        last: str | None = None
        seen: set[str] = set()
        pauses = self.retry_options.pauses_seconds()
        with store_errors(f"listing {prefix}", self.root_url):
            while True:
                try:
                    for page in obstore.list(self.store, prefix, offset=last, chunk_size=1000):
                        pauses = self.retry_options.pauses_seconds()
                        for meta in page:
                            # A bucket is listed in order, so that its last key suffices; a folder is not.
                            last = meta["path"]
                            if self.on_s3:
                                seen.clear()
                            seen.add(last)
                            yield StoredObject(last, meta["size"], meta["e_tag"] or "", meta["last_modified"])
                    return
                except GenericError as error:
                    self._wait_or_raise(error, pauses)
                except InvalidPathError:
                    break
            for key, size_bytes, etag, received_at in unsupported_keys.list_all(
                self.root_url, self.s3_config, prefix, last
            ):
                if key not in seen:
                    yield StoredObject(key, size_bytes, etag, received_at)

    def _wait_or_raise(self, error: GenericError, pauses: Iterator[float]) -> None:
        """Wait before an answer that was cut off is requested again; obstore itself has retried all other errors."""
        pause_seconds = next(pauses, None)
        if pause_seconds is None or not _answer_was_cut(error):
            raise error
        time.sleep(pause_seconds)

    def get(self, key: str) -> bytes:
        """The object's bytes. A body that is cut off is continued from there if the object is unchanged.

        Raises ObjectGone, or UnsupportedKey.
        """
        return self.get_with_attributes(key)[0]

    def get_with_attributes(self, key: str) -> tuple[bytes, Mapping[str, str]]:
        """`get`, and the object's attributes on S3: user metadata by lower-case names, standard attributes capitalised.

        A folder has no attributes.
        """
        if is_unsupported(key):
            raise UnsupportedKey(key)
        with store_errors(f"reading {key}", self.root_url):
            try:
                answer = obstore.get(self.store, key)
                return bytes(answer.bytes()), dict(answer.attributes)
            except (NotFoundError, FileNotFoundError) as gone:
                if "NoSuchBucket" in str(gone):
                    raise  # the whole bucket is missing, not one photo
                raise ObjectGone(key) from gone

    def find(self, key: str) -> bytes | None:
        """The object's bytes; None if it does not exist or its key is not supported."""
        try:
            return self.get(key)
        except (ObjectGone, UnsupportedKey):
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole: readers see all of it or nothing."""
        with store_errors(f"writing {key}", self.root_url):
            obstore.put(self.store, key, data)

    def stat(self, key: str) -> StoredObject | None:
        """The object as in a listing; None if it does not exist."""
        with store_errors(f"looking for {key}", self.root_url):
            try:
                meta = obstore.head(self.store, key)
            except (NotFoundError, FileNotFoundError):
                return None
            return StoredObject(key, meta["size"], meta["e_tag"] or "", meta["last_modified"])

    def size_bytes(self, key: str) -> int | None:
        """The object's size; None if it does not exist."""
        stored = self.stat(key)
        return None if stored is None else stored.size_bytes

    def exists(self, key: str) -> bool:
        return self.size_bytes(key) is not None

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. Raises UnsupportedKey, before anything is deleted, if one of the keys is not supported."""
        if unsupported := [key for key in keys if is_unsupported(key)]:
            raise UnsupportedKey(unsupported[0])
        pauses = self.retry_options.pauses_seconds()
        with store_errors("deleting", self.root_url):
            while True:
                try:
                    obstore.delete(self.store, list(keys))
                    return
                except GenericError as error:
                    self._wait_or_raise(error, pauses)

    def get_range(self, key: str, start_bytes: int, size_bytes: int) -> Buffer:
        """A part of an object, without a copy: on disk a memory mapping, so the file must never change."""
        with store_errors(f"reading {key}", self.root_url):
            if isinstance(self.store, S3Store):
                return obstore.get_range(self.store, key, start=start_bytes, length=size_bytes)
            with (self._root_folder / key).open("rb") as file:
                held_bytes = file.seek(0, io.SEEK_END)
                if held_bytes < start_bytes + size_bytes:
                    raise OSError(f"it has {held_bytes:,} bytes and should have {start_bytes + size_bytes:,} or more")
                before = start_bytes % mmap.ALLOCATIONGRANULARITY  # a mapping begins at a page
                mapped = mmap.mmap(
                    file.fileno(), before + size_bytes, access=mmap.ACCESS_READ, offset=start_bytes - before
                )
            return memoryview(mapped)[before:]

    def open_reader(self, key: str) -> Download:
        with store_errors(f"opening {key}", self.root_url):
            return Download(obstore.open_reader(self.store, key, buffer_size=8 << 20), key, self.root_url)

    def open_writer(self, key: str) -> Upload:
        """A file to write to; the whole object appears when the file is closed."""
        with store_errors(f"writing {key}", self.root_url):
            file = obstore.open_writer(self.store, key, buffer_size=_PART_BYTES, max_concurrency=_PARTS_IN_FLIGHT)
            return Upload(file, key, self)


def _answer_was_cut(error: Exception) -> bool:
    """Whether an answer was cut off. There is no error class for it; the Rust crate object_store uses these words."""
    return "response body" in str(error)
