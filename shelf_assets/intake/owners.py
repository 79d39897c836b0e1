"""The owner as the lake knows one, by a keyed hash. Its key is a setting or, for a lake in a folder, made once beside it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shelf_assets.settings import Settings

_OWNER_HASH = re.compile(r"[0-9a-f]{32}")


class OwnerHashKeyMissing(ValueError):
    """A lake that replicas share needs a key that they share."""


def owner_hash_key(settings: Settings) -> bytes:
    """The key of `receipts.owner_hash`. Raises OwnerHashKeyMissing on S3 without SHELF_INTAKE_OWNER_HASH_KEY."""
    if settings.intake.owner_hash_key is not None:
        return settings.intake.owner_hash_key.get_secret_value().encode()
    if settings.lake.on_s3:
        raise OwnerHashKeyMissing(
            "SHELF_INTAKE_OWNER_HASH_KEY is not set: on S3 every door needs the same one, or an owner's photos are a stranger's "
            "to the next replica. Make it with: openssl rand -hex 32"
        )
    path = settings.home / "owner-hash.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_key(path)
    return path.read_text().strip().encode()


def _make_key(path: Path) -> None:
    """Whole and readable by its user alone from the first moment, and the same for all who make it at once."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    temporary.touch(mode=0o600, exist_ok=False)
    try:
        temporary.write_text(secrets.token_hex(32))
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


def uploader_of(facts: Mapping[str, str]) -> str | None:
    """The hash of the owner in an object's facts; None where no door has written one.

    Others than the doors may write to the bucket: a name that is no hash goes no further.
    """
    owner = facts.get("owner", "")
    return owner if _OWNER_HASH.fullmatch(owner) else None
