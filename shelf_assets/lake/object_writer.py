"""Objects that outlive a power cut, with facts beside their bytes: what the door answers for when it says "received".

On S3 an acknowledged PUT is durable and facts are the object's user metadata. A folder has neither: bytes and all that
leads to them are synced, and facts rest in `facts/<key>.json`, written first, so that an object that is there has its own.
Everything else about objects is in `object_store`.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

from shelf_assets.lake.errors import explained
from shelf_assets.lake.object_store import ObjectGone, ObjectStore

FACTS = "facts"


@dataclass(frozen=True)
class ObjectWithMetadata:
    """An object as it rests. `facts` are short ASCII strings by lower-case names; empty for objects that others put."""

    data: bytes
    facts: Mapping[str, str] = field(default_factory=dict)


class ObjectWriter:
    """ObjectWriter in a store."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def put(self, key: str, data: bytes, facts: Mapping[str, str]) -> None:
        """Write an object and its facts; when this returns they are durable. Raises StoreUnavailable."""
        with explained(f"writing {key}", self.store.root_url):
            folder = self.store.folder
            if folder is None:
                obstore.put(self.store.store, key, data, attributes=dict(facts))
                return
            _write_synced(folder, _facts_key(key), json.dumps(dict(facts)).encode())
            _write_synced(folder, key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet, durably; False where it is. Of many who try at once one is told True."""
        with explained(f"writing {key}", self.store.root_url):
            folder = self.store.folder
            if folder is not None:
                return _write_synced(folder, key, data, replace=False)
            try:
                obstore.put(self.store.store, key, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def find(self, key: str) -> ObjectWithMetadata | None:
        """The object with its facts; None where it is not there. On S3 one request brings both."""
        folder = self.store.folder
        if folder is not None:
            data = self.store.find(key)
            return None if data is None else ObjectWithMetadata(data, self._facts_on_disk(folder, key))
        try:
            data, attributes = self.store.get_with_attributes(key)
        except ObjectGone:
            return None
        return ObjectWithMetadata(data, _user_metadata(attributes))

    def facts(self, key: str) -> Mapping[str, str] | None:
        """The object's facts, its bytes not read; None where it is not there."""
        folder = self.store.folder
        if folder is not None:
            return self._facts_on_disk(folder, key) if self.store.exists(key) else None
        with explained(f"looking for {key}", self.store.root_url):
            try:
                return _user_metadata(obstore.get(self.store.store, key, options={"head": True}).attributes)
            except (NotFoundError, FileNotFoundError):
                return None

    def delete(self, key: str) -> None:
        """Delete an object and its facts; nothing where it is not there."""
        keys = [key] if self.store.folder is None else [key, _facts_key(key)]
        self.store.delete([key for key in keys if self.store.exists(key)])

    def _facts_on_disk(self, folder: Path, key: str) -> Mapping[str, str]:
        with explained(f"reading the facts of {key}", self.store.root_url):
            try:
                found: dict[str, str] = json.loads((folder / _facts_key(key)).read_bytes())
            except OSError as error:
                # A key that no door writes may have no name for its facts: they would be too long, or below a file.
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    return {}
                raise
            return found


def _facts_key(key: str) -> str:
    return f"{FACTS}/{key}.json"


def _user_metadata(attributes: Mapping[str, str]) -> dict[str, str]:
    # The standard attributes begin with a capital (Content-Type); a user's names are lower-case on every store.
    return {name: value for name, value in attributes.items() if name.islower()}


def _write_synced(root: Path, key: str, data: bytes, replace: bool = True) -> bool:
    """Write a file whole and durably; with `replace` off, False where there is one, which is durable as well then.

    A process that is killed here leaves a file `name#digits` behind: it takes room, and no reader sees it.
    """
    path = root / key
    # `#` and digits: what obstore's own unfinished files end with, and what no listing of it shows.
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
        # Also where another has written it: that one may not have come to this line yet.
        _sync_folder(path.parent)
        return written
    finally:
        temporary.unlink(missing_ok=True)


def _opened(path: Path, root: Path) -> BinaryIO:
    """A new file, its folder durable."""
    _make_durable(path.parent, root)
    try:
        return path.open("xb")
    except FileNotFoundError:
        # Somebody took away a folder that was there once.
        _make_durable.cache_clear()
        _make_durable(path.parent, root)
        return path.open("xb")


@lru_cache(maxsize=10_000)
def _make_durable(folder: Path, root: Path) -> None:
    """Make a folder below the root, and all that lead to it, so that a power cut takes none of them away. Looks once."""
    if folder == root:
        root.mkdir(parents=True, exist_ok=True)
        return
    _make_durable(folder.parent, root)
    # Where it is there, whoever made it may not have synced it yet.
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
