"""API keys of the HTTP door: who may do what. Made and revoked in the store, so that every replica knows the same ones.

| key | what |
|---|---|
| `door/keys/<key_id>.json` | owner, scopes, limits, times, and the SHA-256 of the secret; never the secret |

A secret is 256 random bits: there is nothing to guess, so a plain hash keeps it as well as a slow one would, which is for
passwords. How much a key may send is counted in `quotas`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, cast, get_args

from cachetools import TTLCache

from shelf_assets.http.rate_limits import parse_limits
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.lake.object_writer import ObjectWriter

Scope = Literal["upload", "read", "erase"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KEYS = "door/keys"
CACHE_SECONDS = 30.0
_CACHED_KEYS = 10_000
# Beyond these, one listing a second says which ids there are: a flood of made-up ones costs the store no more than that.
_LOOKUPS_A_SECOND = 20
_READS_AT_ONCE = 16
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_TOKEN = re.compile(rf"shelf_({_KEY_ID.pattern})_([A-Za-z0-9_-]{{43}})")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class UnknownKey(LookupError):
    """There is no key of this id."""


@dataclass(frozen=True)
class ApiKey:
    """What a key allows. `requests`, `bytes_` and `pixels` are limits like 60/minute; None: as in the settings."""

    key_id: str
    owner: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None = None
    requests: str | None = None
    bytes_: str | None = None
    pixels: str | None = None


@dataclass(frozen=True)
class _Record:
    key: ApiKey
    secret_sha256: str = field(repr=False)


class Keys:
    """The keys of a store. Answers of `find` are `cache_seconds` old at most; that is how late a revocation is heard of."""

    def __init__(self, store: ObjectStore, cache_seconds: float = CACHE_SECONDS) -> None:
        self.object_writer = ObjectWriter(store)
        self._cache: TTLCache[str, _Record | None] = TTLCache(_CACHED_KEYS, cache_seconds)
        self._guard = _LookupGuard(store)
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
        """A new key and its token, which nobody can be told again. Raises ValueError and StoreUnavailable."""
        for limit in (requests, bytes_, pixels):
            if limit is not None:
                parse_limits(limit)
        key = ApiKey(
            key_id=secrets.token_hex(8),
            owner=_known_owner(owner),
            scopes=_known_scopes(scopes),
            created_at=now.astimezone(UTC),
            requests=requests,
            bytes_=bytes_,
            pixels=pixels,
        )
        secret = secrets.token_urlsafe(32)
        self.object_writer.put(_object_of(key.key_id), _to_json(_Record(key, _sha256(secret))), {})
        return key, f"shelf_{key.key_id}_{secret}"

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """Close a key for ever; once it is revoked, nothing changes. Raises UnknownKey and StoreUnavailable."""
        record = self._read(key_id) if _KEY_ID.fullmatch(key_id) else None
        if record is None:
            raise UnknownKey(_why_unknown(key_id))
        if record.key.revoked_at is None:
            record = replace(record, key=replace(record.key, revoked_at=now.astimezone(UTC)))
            self.object_writer.put(_object_of(key_id), _to_json(record), {})
        with self._lock:
            self._cache.pop(key_id, None)
        return record.key

    def list(self) -> list[ApiKey]:
        """Every key, revoked ones too, the oldest first. Raises StoreUnavailable."""
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            records = pool.map(self._read, _ids_in(self.object_writer.store))
        return sorted((record.key for record in records if record), key=lambda key: (key.created_at, key.key_id))

    def find(self, token: str) -> ApiKey | None:
        """The key of a token; None where it is none, or revoked. Raises StoreUnavailable."""
        parts = _TOKEN.fullmatch(token)
        return None if parts is None else _opened(self._cached(parts[1]), parts[2])

    def remembered(self, token: str) -> ApiKey | None:
        """The key of a token that `find` found of late. Asks no store: None means that `find` is to be asked."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        with self._lock:
            record = self._cache.get(parts[1])
        return _opened(record, parts[2])

    def _cached(self, key_id: str) -> _Record | None:
        with self._lock:
            if key_id in self._cache:
                return self._cache[key_id]
        if not self._guard.may_be_there(key_id):
            return None
        record = self._read(key_id)
        with self._lock:
            self._cache[key_id] = record
        return record

    def _read(self, key_id: str) -> _Record | None:
        found = self.object_writer.find(_object_of(key_id))
        return None if found is None else _of_json(found.data)


class _LookupGuard:
    """Bounds what made-up ids cost the store. Ids of keys that are there are never held up by it."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._ids: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._second_began = -1.0
        self._lookups_left = 0
        self._is_listed = False

    def may_be_there(self, key_id: str) -> bool:
        """Whether to look for this key at all. Raises StoreUnavailable."""
        if key_id in self._ids:
            return True
        with self._lock:
            now = time.monotonic()
            if now - self._second_began >= 1 or self._second_began < 0:
                self._second_began, self._lookups_left, self._is_listed = now, _LOOKUPS_A_SECOND, False
            if self._lookups_left > 0:
                self._lookups_left -= 1
                return True
            if not self._is_listed:
                self._ids = frozenset(_ids_in(self._store))
                self._is_listed = True
            return key_id in self._ids


def _opened(record: _Record | None, secret: str) -> ApiKey | None:
    if record is None or not hmac.compare_digest(_sha256(secret), record.secret_sha256):
        return None
    return record.key if record.key.revoked_at is None else None


def _object_of(key_id: str) -> str:
    return f"{KEYS}/{key_id}.json"


def _ids_in(store: ObjectStore) -> Iterator[str]:
    names = (each.key.removeprefix(f"{KEYS}/").removesuffix(".json") for each in store.list(f"{KEYS}/"))
    return (name for name in names if _KEY_ID.fullmatch(name))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _known_owner(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise ValueError(
            f"{owner!r} is no name of an owner: 1 to 64 letters, digits, dots, hyphens and underscores, the first of them "
            "a letter or digit"
        )
    return owner


def _known_scopes(scopes: Iterable[str]) -> frozenset[Scope]:
    asked = frozenset(scopes)
    if not asked or not asked <= frozenset(SCOPES):
        told = ", ".join(sorted(asked - frozenset(SCOPES))) or "nothing"
        raise ValueError(f"{told} is no scope: a key has one or more of {', '.join(SCOPES)}")
    return cast("frozenset[Scope]", asked)


def _why_unknown(key_id: str) -> str:
    if token := _TOKEN.fullmatch(key_id):
        return f"that is a whole token: give its key id alone, {token[1]}; the rest of it is a secret"
    return f"no key has the id {key_id!r}; `shelf keys list` shows those that there are"


def _to_json(record: _Record) -> bytes:
    key = record.key
    kept = {
        "key_id": key.key_id,
        "owner": key.owner,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
        "limits": {"requests": key.requests, "bytes": key.bytes_, "pixels": key.pixels},
        "secret_sha256": record.secret_sha256,
    }
    return json.dumps(kept).encode()


def _of_json(data: bytes) -> _Record:
    kept = json.loads(data)
    key = ApiKey(
        key_id=kept["key_id"],
        owner=kept["owner"],
        scopes=frozenset(kept["scopes"]),
        created_at=datetime.fromisoformat(kept["created_at"]),
        revoked_at=None if kept["revoked_at"] is None else datetime.fromisoformat(kept["revoked_at"]),
        requests=kept["limits"]["requests"],
        bytes_=kept["limits"]["bytes"],
        pixels=kept["limits"]["pixels"],
    )
    return _Record(key, kept["secret_sha256"])
