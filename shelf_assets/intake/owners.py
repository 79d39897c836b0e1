"""The key of the hash that represents owners in the lake.

It is a setting or, for a lake in a folder, a file that is made on first use.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from shelf_assets.intake.settings import IntakeSettings


class OwnerHashKeyMissing(ValueError):
    """A lake on S3 needs a configured key, which all replicas share."""


def owner_hash_key(intake: IntakeSettings, home: Path, lake_on_s3: bool) -> bytes:
    """The key of `upload_store.owner_hash`. Raises OwnerHashKeyMissing on S3 without SHELF_INTAKE_OWNER_HASH_KEY."""
    if intake.owner_hash_key is not None:
        return intake.owner_hash_key.get_secret_value().encode()
    if lake_on_s3:
        raise OwnerHashKeyMissing(
            "SHELF_INTAKE_OWNER_HASH_KEY is not set: on S3 all replicas of the upload API need the same key, or they do not "
            "recognise one another's owners. Make it with: openssl rand -hex 32"
        )
    path = home / "owner-hash.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_key(path)
    return path.read_text().strip().encode()


def _make_key(path: Path) -> None:
    """Create the key file atomically, readable by its user only; concurrent callers all get the first one's key."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    temporary.touch(mode=0o600, exist_ok=False)
    try:
        temporary.write_text(secrets.token_hex(32))
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
