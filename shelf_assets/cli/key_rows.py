"""What `shelf keys` says of keys, in words. What a key is belongs in `keys`, the verbs in `cli`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shelf_assets.http.api_key import ApiKey
from shelf_assets.http.keys import CACHE_SECONDS, Keys

if TYPE_CHECKING:
    from shelf_assets.settings import Settings

COLUMNS = ("id", "owner", "scopes", "limits", "created", "state")


def keys_of(settings: Settings) -> Keys:
    """The keys of the lake that the settings name."""
    from shelf_assets.lake.store_options import open_object_store

    return Keys(open_object_store(settings.lake))


def on_creation(key: ApiKey) -> str:
    """What is to be known beside a new token."""
    return (
        f"This token is shown only now: of its secret the lake keeps a hash. It is {key.owner}'s, for "
        f"{', '.join(sorted(key.scopes))}; its key id is {key.key_id}.\n"
        'Send it with every request: curl -H "Authorization: Bearer TOKEN" ... '
        f"If it gets into wrong hands: shelf keys revoke {key.key_id}"
    )


def on_revocation(key: ApiKey) -> str:
    """When a revocation takes effect."""
    return (
        f"{key.key_id} of {key.owner} is revoked since {key.revoked_at:%Y-%m-%d %H:%M:%S} UTC; servers that run "
        f"remember a key for {CACHE_SECONDS:.0f} s, and refuse it after that"
    )


def rows(keys: Iterable[ApiKey]) -> Iterator[tuple[str, ...]]:
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
