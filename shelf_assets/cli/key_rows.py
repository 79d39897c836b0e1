"""Rows and messages of `shelf keys`. The keys are in `http.keys`, the verbs in `cli.keys`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shelf_assets.http.api_key import ApiKey
from shelf_assets.http.keys import CACHE_SECONDS

COLUMNS = ("id", "owner", "scopes", "limits", "created", "state")


def creation_message(key: ApiKey) -> str:
    """How to use and to revoke a new key; printed beside its token."""
    return (
        f"This token is shown only now: the lake stores only a hash of its secret. Its owner is {key.owner}, its scopes are "
        f"{', '.join(sorted(key.scopes))}, its key id is {key.key_id}.\n"
        'Send it with every request: curl -H "Authorization: Bearer TOKEN" ... '
        f"If it leaks: shelf keys revoke {key.key_id}"
    )


def revocation_message(key: ApiKey) -> str:
    """When a revocation takes effect."""
    return (
        f"{key.key_id} of {key.owner} is revoked since {key.revoked_at:%Y-%m-%d %H:%M:%S} UTC; running servers cache a key "
        f"for {CACHE_SECONDS:.0f} s and refuse it after that"
    )


def key_rows(keys: Iterable[ApiKey]) -> Iterator[tuple[str, ...]]:
    """One row per key, as in COLUMNS; days are UTC."""
    for key in keys:
        own = (("requests", key.requests), ("bytes", key.bytes_), ("pixels", key.pixels))
        limits = ", ".join(f"{kind} {limit}" for kind, limit in own if limit)
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "in force"
        yield (
            key.key_id,
            key.owner,
            ", ".join(sorted(key.scopes)),
            limits or "as set",
            f"{key.created_at:%Y-%m-%d}",
            state,
        )
