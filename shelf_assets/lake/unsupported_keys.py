"""Keys that obstore does not support (empty or dotted segments, control characters): recognised, and listed another way.

One such key fails obstore's listing of its whole day, so that a listing falls back to this slower one. Objects with such a
key are only listed, never read or deleted: a row of raw_images rejects them as `unsupported_key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from shelf_assets.lake.errors import StoreUnavailable

_DOTTED_OR_EMPTY = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Listed = tuple[str, int, str, datetime]


class UnsupportedKey(ValueError):
    """obstore cannot address an object by this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} has empty or dotted segments or control characters, which are not supported")


def is_unsupported(key: str) -> bool:
    """Whether obstore refuses the key. It accepts one slash at the end: the marker of a folder."""
    plain = key.removesuffix("/")
    return bool(_CONTROL.search(plain) or _DOTTED_OR_EMPTY.search(plain))


def list_all(root_url: str, s3_config: Mapping[str, str], prefix: str, after: str | None) -> Iterator[Listed]:
    """(key, size_bytes, etag, received_at) of every object under a prefix, with any key, in obstore's terms.

    A bucket is listed from the key `after` on (exclusive); a folder has no order and is listed whole.
    """
    bucket, root = _place(root_url)
    if bucket is None:
        yield from _list_folder(Path(root), prefix)
        return
    with _store_errors(f"listing {prefix}", root_url):
        pages = (
            _client(s3_config)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=bucket, Prefix=root + prefix, StartAfter=root + after if after else "")
        )
        for page in pages:
            for found in page.get("Contents", []):
                key = str(found["Key"]).removeprefix(root)
                key = key if is_unsupported(key) else key.removesuffix("/")
                yield key, int(found["Size"]), str(found["ETag"]), found["LastModified"]


def _place(root_url: str) -> tuple[str | None, str]:
    """Bucket and key prefix of a lake on S3; None and the folder of a lake on disk."""
    parts = urlsplit(root_url)
    if parts.scheme != "s3":
        return None, unquote(parts.path)
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def _list_folder(root: Path, prefix: str) -> Iterator[Listed]:
    for path in (root / prefix).rglob("*"):
        if path.is_file():
            stat = path.stat()
            etag = f'"{stat.st_ino:x}-{stat.st_mtime_ns // 1000:x}-{stat.st_size:x}"'
            received_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=stat.st_mtime_ns // 1000)
            yield path.relative_to(root).as_posix(), stat.st_size, etag, received_at


def _client(s3_config: Mapping[str, str]) -> Any:
    """boto3's client: it accepts any key, at ten times obstore's CPU."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=s3_config.get("endpoint"),
        region_name=s3_config.get("region"),
        aws_access_key_id=s3_config.get("access_key_id"),
        aws_secret_access_key=s3_config.get("secret_access_key"),
        aws_session_token=s3_config.get("token"),
        config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 5}),
    )


@contextmanager
def _store_errors(doing: str, root_url: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailable(f"{doing} in {root_url} failed: {error}") from error
