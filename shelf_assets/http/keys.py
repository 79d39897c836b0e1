"""The API keys of a lake: create, list, revoke and find them. They are in the store, so all replicas share them.

| key | content |
|---|---|
| `door/keys/<key_id>.json` | owner, scopes, limits, times, and the SHA-256 of the secret |

How much a key may send is counted in `rate_limits`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from cachetools import TTLCache

from shelf_assets.http.api_key import (
    KEY_ID,
    TOKEN,
    ApiKey,
    KeyRecord,
    new_secret,
    sha256_of,
    valid_owner,
    valid_scopes,
)
from shelf_assets.http.limit_text import parse_limits
from shelf_assets.http.lookup_guard import LookupGuard
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.lake.object_writer import ObjectWriter

CACHE_SECONDS = 30.0
_FOLDER = "door/keys"
_CACHED_KEYS = 10_000
_CONCURRENT_READS = 16


class UnknownKey(LookupError):
    """There is no key of this id."""


class Keys:
    """The keys of a store. Results of `find` are cached for `cache_seconds`: a revocation takes effect after that at most."""

    def __init__(self, store: ObjectStore, cache_seconds: float = CACHE_SECONDS) -> None:
        self.object_writer = ObjectWriter(store)
        self._cache: TTLCache[str, KeyRecord | None] = TTLCache(_CACHED_KEYS, cache_seconds)
        self._guard = LookupGuard(self._ids)
        self._lock = threading.Lock()

    def create(
        self,
        owner: str,
        scopes: Iterable[str],
        now: datetime,
        requests: str | None = None,
        bytes_: str | None = None,
        pixels: str | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key; returns it with its token, which cannot be shown again. Raises ValueError and StoreUnavailable."""
        for limit in (requests, bytes_, pixels):
            if limit is not None:
                parse_limits(limit)
        key = ApiKey(
            key_id=secrets.token_hex(8),
            owner=valid_owner(owner),
            scopes=valid_scopes(scopes),
            created_at=now.astimezone(UTC),
            requests=requests,
            bytes_=bytes_,
            pixels=pixels,
        )
        secret = new_secret()
        self.object_writer.put(_object_of(key.key_id), KeyRecord(key, sha256_of(secret)).to_json(), {})
        return key, f"shelf_{key.key_id}_{secret}"

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """Revoke a key for ever; revoking it again changes nothing. Raises UnknownKey and StoreUnavailable."""
        record = self._read(key_id) if KEY_ID.fullmatch(key_id) else None
        if record is None:
            raise UnknownKey(_unknown_message(key_id))
        if record.key.revoked_at is None:
            record = replace(record, key=replace(record.key, revoked_at=now.astimezone(UTC)))
            self.object_writer.put(_object_of(key_id), record.to_json(), {})
        with self._lock:
            self._cache.pop(key_id, None)
        return record.key

    def list(self) -> list[ApiKey]:
        """Every key, the revoked ones included, oldest first. Raises StoreUnavailable."""
        with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
            records = pool.map(self._read, self._ids())
        return sorted((record.key for record in records if record), key=lambda key: (key.created_at, key.key_id))

    def find(self, token: str) -> ApiKey | None:
        """The key of a token; None if the token is invalid or its key is revoked. Raises StoreUnavailable."""
        match = TOKEN.fullmatch(token)
        if match is None:
            return None
        record = self._cached_or_read(match[1])
        return None if record is None else record.opened_by(match[2])

    def find_cached(self, token: str) -> ApiKey | None:
        """The cached key of a token, without a request to the store; None if `find` must be called."""
        match = TOKEN.fullmatch(token)
        if match is None:
            return None
        with self._lock:
            record = self._cache.get(match[1])
        return None if record is None else record.opened_by(match[2])

    def ping(self) -> None:
        """Raise StoreUnavailable if the keys cannot be read."""
        # A listing, because a look at one object of a missing bucket only says "no such object".
        next(self.object_writer.store.list(f"{_FOLDER}/"), None)

    def _cached_or_read(self, key_id: str) -> KeyRecord | None:
        with self._lock:
            if key_id in self._cache:
                return self._cache[key_id]
        if not self._guard.may_exist(key_id):
            return None
        record = self._read(key_id)
        with self._lock:
            self._cache[key_id] = record
        return record

    def _read(self, key_id: str) -> KeyRecord | None:
        found = self.object_writer.find(_object_of(key_id))
        return None if found is None else KeyRecord.from_json(found.data)

    def _ids(self) -> Iterator[str]:
        objects = self.object_writer.store.list(f"{_FOLDER}/")
        names = (stored.key.removeprefix(f"{_FOLDER}/").removesuffix(".json") for stored in objects)
        return (name for name in names if KEY_ID.fullmatch(name))


def _object_of(key_id: str) -> str:
    return f"{_FOLDER}/{key_id}.json"


def _unknown_message(key_id: str) -> str:
    if token := TOKEN.fullmatch(key_id):
        return f"that is a whole token: give its key id alone, {token[1]}; the rest of it is a secret"
    return f"no key has the id {key_id!r}; `shelf keys list` shows all keys"
