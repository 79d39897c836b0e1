"""The lake's objects: one store for a folder and for S3, listed in pages, read and written whole or as streams.

Reading many at a time belongs in `vision.engine`, tables have their own clients (`delta`).
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

from shelf_assets.lake import unsupported_keys as unsupported_keys
from shelf_assets.lake.errors import StoreUnavailable, explained

IMAGES = "images"
_DOOR_KEY = re.compile(rf"{IMAGES}/\d{{4}}/\d\d/\d\d/([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})")
# 32 MB of an upload are under way, which a link of 10 Mbit/s takes within an answer's time.
_PART_BYTES = 8 << 20
_PARTS_IN_FLIGHT = 4
# Identity of all other objects: a UUIDv5 of the key in this namespace.
_KEY_NAMESPACE = uuid.UUID("7b0cf4a5-8a39-5b25-a0b7-6c9f0d9d6c11")


# What bytes are read into; both may be handed to NumPy and Arrow without a copy.
Buffer = memoryview | obstore.Bytes


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


@dataclass(frozen=True)
class RetryOptions:
    """How long the store is tried, per request. S3 answers SlowDown for seconds while it splits a busy prefix.

    obstore waits a random time between `first_pause_seconds` and three times its last pause (AWS's decorrelated jitter),
    so that many readers do not come back together: seven tries again take about 6 seconds, 19 at most.
    """

    tries_again: int = 7
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0
    # No try again is begun later than this; with a last try that hangs, a dead store is told of after 90 seconds.
    give_up_seconds: float = 60.0
    # 25 MB, the largest photo, on a link shared by many.
    answer_seconds: float = 60.0
    # A connection on which nothing moves is given up, though its answer might have time left.
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

    def __init__(self, file: obstore.WritableFile, key: str, store: ObjectStore) -> None:
        self._file, self._key, self._store = file, key, store
        self._written_bytes = 0
        self._broken: StoreUnavailable | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._broken is not None:
            raise self._broken  # what follows a lost part would be an object with a hole
        try:
            with explained(f"writing {self._key}", self._store.root_url):
                # pyarrow's buffers are of signed bytes, which obstore refuses; this is a view, no copy.
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
        with explained(f"writing {self._key}", self._store.root_url):
            try:
                self._file.close()
            except (GenericError, OSError) as error:
                # The last answer was lost, which obstore does not ask for again; the object may be there all the same.
                if not _answer_was_cut(error) or self._store.size_bytes(self._key) != self._written_bytes:
                    raise

    def __del__(self) -> None:
        """An upload that nobody closed is dropped: half an object must not appear."""


class ObjectStore:
    """Objects under one root. All keys are relative to it."""

    def __init__(
        self, root_url: str, s3_config: Mapping[str, str] | None = None, patience: RetryOptions = RetryOptions()
    ) -> None:
        self.root_url = root_url.rstrip("/")
        self.s3_config, self.patience = dict(s3_config or {}), patience
        parts = urlsplit(self.root_url)
        self.on_s3 = parts.scheme == "s3"
        if self.on_s3:
            self.store: LocalStore | S3Store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=self.s3_config,  # type: ignore[arg-type]
                client_options={
                    "timeout": timedelta(seconds=patience.answer_seconds),
                    "read_timeout": timedelta(seconds=patience.silence_seconds),
                    "allow_http": True,
                    "pool_max_idle_per_host": "128",
                },
                retry_config=patience.of_obstore(),
            )
        else:
            with explained("opening the lake", self.root_url):
                self.store = LocalStore(self._root_folder, mkdir=True)

    @classmethod
    def of_delta(
        cls, root_url: str, storage_options: Mapping[str, str], patience: RetryOptions = RetryOptions()
    ) -> ObjectStore:
        """The store that delta-rs' options name; whether plain http is allowed the URL of its endpoint says here."""
        return cls(root_url, {key: value for key, value in storage_options.items() if key != "allow_http"}, patience)

    @property
    def folder(self) -> Path | None:
        """The root on disk; None on S3."""
        return None if self.on_s3 else self._root_folder

    @property
    def _root_folder(self) -> Path:
        return Path(unquote(urlsplit(self.root_url).path))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects under a prefix, by pages of 1,000; of a bucket no more than a page is held, of a folder its keys.

        A page whose answer breaks off is asked for again, and where a key is one that obstore cannot name, the rest of the
        listing goes another way: neither costs the day.
        """
        last: str | None = None
        seen: set[str] = set()
        pauses = self.patience.pauses_seconds()
        with explained(f"listing {prefix}", self.root_url):
            while True:
                try:
                    for page in obstore.list(self.store, prefix, offset=last, chunk_size=1000):
                        pauses = self.patience.pauses_seconds()
                        for meta in page:
                            # A bucket is listed in order, so that its last key says all; a folder is not.
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
        """Wait before an answer that broke off is asked for again; all other errors obstore has tried again by itself."""
        pause_seconds = next(pauses, None)
        if pause_seconds is None or not _answer_was_cut(error):
            raise error
        time.sleep(pause_seconds)

    def get(self, key: str) -> bytes:
        """The object's bytes. A body that breaks off is asked for again from where it broke, if it is still the same object."""
        return self.get_with_attributes(key)[0]

    def get_with_attributes(self, key: str) -> tuple[bytes, Mapping[str, str]]:
        """`get` and what S3 keeps beside the bytes: user metadata by lower-case names, standard attributes capitalised.

        None of it in a folder, which keeps none, and of keys that obstore cannot name.
        """
        with explained(f"reading {key}", self.root_url):
            try:
                answer = obstore.get(self.store, key)
                return bytes(answer.bytes()), dict(answer.attributes)
            except (NotFoundError, FileNotFoundError) as gone:
                if "NoSuchBucket" in str(gone):
                    raise  # not one photo is gone but all of them
                raise ObjectGone(key) from gone
            except ValueError:
                if not unsupported_keys.is_unsupported(key):
                    raise
                data = unsupported_keys.read(self.root_url, self.s3_config, key)
        if data is None:
            raise ObjectGone(key)
        return data, {}

    def find(self, key: str) -> bytes | None:
        """The object's bytes, or None where it is gone."""
        try:
            return self.get(key)
        except ObjectGone:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole: readers see all of it or nothing."""
        with explained(f"writing {key}", self.root_url):
            obstore.put(self.store, key, data)

    def stat(self, key: str) -> StoredObject | None:
        """The object as a listing tells it; None where it is gone."""
        with explained(f"looking for {key}", self.root_url):
            try:
                meta = obstore.head(self.store, key)
            except (NotFoundError, FileNotFoundError):
                return None
            return StoredObject(key, meta["size"], meta["e_tag"] or "", meta["last_modified"])

    def size_bytes(self, key: str) -> int | None:
        """The object's size; None where it is gone."""
        stored = self.stat(key)
        return None if stored is None else stored.size_bytes

    def exists(self, key: str) -> bool:
        return self.size_bytes(key) is not None

    def delete(self, keys: Sequence[str]) -> None:
        named, odd = (
            [key for key in keys if not unsupported_keys.is_unsupported(key)],
            [key for key in keys if unsupported_keys.is_unsupported(key)],
        )
        pauses = self.patience.pauses_seconds()
        with explained("deleting", self.root_url):
            for key in odd:
                unsupported_keys.delete(self.root_url, self.s3_config, key)
            while True:
                try:
                    obstore.delete(self.store, named)
                    return
                except GenericError as error:
                    self._wait_or_raise(error, pauses)

    def get_range(self, key: str, start_bytes: int, size_bytes: int) -> Buffer:
        """A part of an object, not copied: on disk a mapping of the file, so the file must be one that is never changed."""
        with explained(f"reading {key}", self.root_url):
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
        with explained(f"opening {key}", self.root_url):
            return Download(obstore.open_reader(self.store, key, buffer_size=8 << 20), key, self.root_url)

    def open_writer(self, key: str) -> Upload:
        """A file to write to; the object appears, whole, when it is closed."""
        with explained(f"writing {key}", self.root_url):
            file = obstore.open_writer(self.store, key, buffer_size=_PART_BYTES, max_concurrency=_PARTS_IN_FLIGHT)
            return Upload(file, key, self)


def _answer_was_cut(error: Exception) -> bool:
    """Whether an answer ended before its end. There is no class for it; these are object_store's words."""
    return "response body" in str(error)
