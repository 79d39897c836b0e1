"""The key of the hash that stands for an owner: from the settings, or, for a lake in a folder, made once beside it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shelf_assets.settings import Settings


class OwnerHashKeyMissing(ValueError):
    """A lake that replicas share needs a key that they share."""


def owner_hash_key(settings: Settings) -> bytes:
    """The key of `receipts.owner_hash`. Raises OwnerHashKeyMissing on S3 without SHELF_OWNER_HASH_KEY."""
    if settings.owner_hash_key is not None:
        return settings.owner_hash_key.get_secret_value().encode()
    if settings.on_s3:
        raise OwnerHashKeyMissing(
            "SHELF_OWNER_HASH_KEY is not set: on S3 every door needs the same one, or an owner's photos are a stranger's "
            "to the next replica. Make it with: openssl rand -hex 32"
        )
    path = settings.home / "owner-hash.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", opener=_private) as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_text().strip().encode()


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)
