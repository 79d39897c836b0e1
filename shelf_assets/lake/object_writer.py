"""Durable objects with metadata: once a write has returned, the object survives a power cut.

On S3 an acknowledged PUT is durable, and metadata is the object's user metadata. In a folder, files and the folders that
lead to them are synced, and metadata is stored in `facts/<key>.json`, which is written first, so that an existing object
always has its metadata. Everything else about objects belongs in `object_store`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

from shelf_assets.lake.errors import store_errors
from shelf_assets.lake.object_store import ObjectGone, ObjectStore
from shelf_assets.lake.unsupported_keys import UnsupportedKey

# The folder of metadata on disk; lakes in use have this name.
METADATA_FOLDER = "facts"
_OWNER_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class ObjectWithMetadata:
    """An object's bytes and metadata: short ASCII strings by lower-case names, empty if another programme stored it."""

    data: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


def uploader_of(metadata: Mapping[str, str]) -> str | None:
    """The owner's hash in an object's metadata; None for objects that were not stored by the upload API.

    Other programs may write to the bucket, so a value that is not a hash is ignored.
    """
    owner = metadata.get("owner", "")
    return owner if _OWNER_HASH.fullmatch(owner) else None


class ObjectWriter:
    """Durable writes, and reads with metadata, in an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def put(self, key: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Write an object and its metadata; both are durable when this returns. Raises StoreUnavailable."""
        with store_errors(f"writing {key}", self.store.root_url):
            folder = self.store.folder
            if folder is None:
                obstore.put(self.store.store, key, data, attributes=dict(metadata))
                return
            _write_synced(folder, _metadata_key(key), json.dumps(dict(metadata)).encode())
            _write_synced(folder, key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object durably if the key does not exist; False if it does. Of concurrent calls one returns True."""
        with store_errors(f"writing {key}", self.store.root_url):
            folder = self.store.folder
            if folder is not None:
                return _write_synced(folder, key, data, replace=False)
            try:
                obstore.put(self.store.store, key, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def find(self, key: str) -> ObjectWithMetadata | None:
        """The object with its metadata, on S3 in one request; None if it does not exist or its key is not supported."""
        folder = self.store.folder
        if folder is not None:
            data = self.store.find(key)
            return None if data is None else ObjectWithMetadata(data, self._metadata_on_disk(folder, key))
        try:
            data, attributes = self.store.get_with_attributes(key)
        except (ObjectGone, UnsupportedKey):
            return None
        return ObjectWithMetadata(data, _user_metadata(attributes))

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """The object's metadata, without reading its bytes; None if it does not exist."""
        folder = self.store.folder
        if folder is not None:
            return self._metadata_on_disk(folder, key) if self.store.exists(key) else None
        with store_errors(f"looking for {key}", self.store.root_url):
            try:
                return _user_metadata(obstore.get(self.store.store, key, options={"head": True}).attributes)
            except (NotFoundError, FileNotFoundError):
                return None

    def delete(self, key: str) -> None:
        """Delete an object and its metadata, if they exist."""
        keys = [key] if self.store.folder is None else [key, _metadata_key(key)]
        self.store.delete([key for key in keys if self.store.exists(key)])

    def _metadata_on_disk(self, folder: Path, key: str) -> Mapping[str, str]:
        with store_errors(f"reading the metadata of {key}", self.store.root_url):
            try:
                found: dict[str, str] = json.loads((folder / _metadata_key(key)).read_bytes())
            except OSError as error:
                # A key of another programme may have no metadata file: its name would be too long, or below a file.
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    return {}
                raise
            return found


def _metadata_key(key: str) -> str:
    return f"{METADATA_FOLDER}/{key}.json"


def _user_metadata(attributes: Mapping[str, str]) -> dict[str, str]:
    # Standard attributes begin with a capital letter (Content-Type); user metadata is lower-case on every store.
    return {name: value for name, value in attributes.items() if name.islower()}


def _write_synced(root: Path, key: str, data: bytes, replace: bool = True) -> bool:
    """Write a whole file durably. With `replace` off, return False if it exists; then the existing file is durable.

    A killed process leaves a file `name#digits` behind, which takes space and is never listed.
    """
    path = root / key
    # obstore's own unfinished files end with `#` and digits as well, and its listings leave them out.
    temporary = path.with_name(f"{path.name}#{secrets.randbits(64)}")
    try:
        with _opened(temporary, root) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        written = True
        if replace:
            temporary.replace(path)
        else:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                written = False
        # Also if another process has written the file: it may not have synced the folder yet.
        _sync_folder(path.parent)
        return written
    finally:
        temporary.unlink(missing_ok=True)


def _opened(path: Path, root: Path) -> BinaryIO:
    """Open a new file in a durable folder."""
    _make_durable(path.parent, root)
    try:
        return path.open("xb")
    except FileNotFoundError:
        # A folder that was made before has been deleted.
        _make_durable.cache_clear()
        _make_durable(path.parent, root)
        return path.open("xb")


@lru_cache(maxsize=10_000)
def _make_durable(folder: Path, root: Path) -> None:
    """Make a folder below the root, and all that lead to it, durable. Cached: each folder is checked once."""
    if folder == root:
        root.mkdir(parents=True, exist_ok=True)
        return
    _make_durable(folder.parent, root)
    # If it exists, the process that made it may not have synced it yet.
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
