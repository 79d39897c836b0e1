"""An API key and its record in the store. Creating, finding and revoking keys belong in `keys`."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from shelf_assets.http.scopes import SCOPES, Scope

KEY_ID = re.compile(r"[0-9a-f]{16}")
TOKEN = re.compile(rf"shelf_({KEY_ID.pattern})_([A-Za-z0-9_-]{{43}})")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ApiKey:
    """What a key allows. `requests`, `bytes_` and `pixels` are limits like 60/minute; None: the setting's."""

    key_id: str
    owner: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None = None
    requests: str | None = None
    bytes_: str | None = None
    pixels: str | None = None


@dataclass(frozen=True)
class KeyRecord:
    """A key as the store holds it: with the SHA-256 of its secret, never with the secret."""

    key: ApiKey
    secret_sha256: str = field(repr=False)

    def opened_by(self, secret: str) -> ApiKey | None:
        """The key, if the secret is its own and it is not revoked."""
        if not hmac.compare_digest(sha256_of(secret), self.secret_sha256):
            return None
        return self.key if self.key.revoked_at is None else None

    def to_json(self) -> bytes:
        key = self.key
        record = {
            "key_id": key.key_id,
            "owner": key.owner,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at.isoformat(),
            "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
            "limits": {"requests": key.requests, "bytes": key.bytes_, "pixels": key.pixels},
            "secret_sha256": self.secret_sha256,
        }
        return json.dumps(record).encode()

    @staticmethod
    def from_json(data: bytes) -> KeyRecord:
        record = json.loads(data)
        key = ApiKey(
            key_id=record["key_id"],
            owner=record["owner"],
            scopes=frozenset(record["scopes"]),
            created_at=datetime.fromisoformat(record["created_at"]),
            revoked_at=None if record["revoked_at"] is None else datetime.fromisoformat(record["revoked_at"]),
            requests=record["limits"]["requests"],
            bytes_=record["limits"]["bytes"],
            pixels=record["limits"]["pixels"],
        )
        return KeyRecord(key, record["secret_sha256"])


def new_secret() -> str:
    """256 random bits. They cannot be guessed, so a plain hash protects them as well as a slow one, which is for passwords."""
    return secrets.token_urlsafe(32)


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def valid_owner(owner: str) -> str:
    """The owner, if it is a valid name. Raises ValueError."""
    if not _OWNER.fullmatch(owner):
        raise ValueError(
            f"{owner!r} is no name of an owner: 1 to 64 letters, digits, dots, hyphens and underscores, the first of them "
            "a letter or digit"
        )
    return owner


def valid_scopes(scopes: Iterable[str]) -> frozenset[Scope]:
    """The scopes, if there are any and all are known. Raises ValueError."""
    requested = frozenset(scopes)
    if not requested or not requested <= frozenset(SCOPES):
        unknown = ", ".join(sorted(requested - frozenset(SCOPES))) or "nothing"
        raise ValueError(f"{unknown} is no scope: a key has one or more of {', '.join(SCOPES)}")
    return cast("frozenset[Scope]", requested)
