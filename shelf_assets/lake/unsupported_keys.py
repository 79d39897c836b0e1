"""Keys that obstore cannot name (empty or dotted segments, control characters): listed and read another, slower way.

One such key fails obstore's listing of its whole day. Everything else about objects belongs in `object_store`.
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


def is_unsupported(key: str) -> bool:
    """Whether obstore refuses the key. It takes one slash at the end: the marker of a folder."""
    plain = key.removesuffix("/")
    return bool(_CONTROL.search(plain) or _DOTTED_OR_EMPTY.search(plain))


def list_all(root_url: str, s3_config: Mapping[str, str], prefix: str, after: str | None) -> Iterator[Listed]:
    """(key, size_bytes, etag, received_at) of every object under a prefix, odd or not, as obstore would give them.

    A bucket is listed from behind the key `after`; a folder has no order and is listed whole.
    """
    bucket, root = _place(root_url)
    if bucket is None:
        yield from _list_folder(Path(root), prefix)
        return
    with _explained(f"listing {prefix}", root_url):
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


def read(root_url: str, s3_config: Mapping[str, str], key: str) -> bytes | None:
    """The object's bytes; None where it is gone."""
    bucket, root = _place(root_url)
    if bucket is None:
        try:
            return _path(root, key).read_bytes()
        except FileNotFoundError:
            return None
    client = _client(s3_config)
    with _explained(f"reading {key!r}", root_url):
        try:
            return client.get_object(Bucket=bucket, Key=root + key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None


def delete(root_url: str, s3_config: Mapping[str, str], key: str) -> None:
    bucket, root = _place(root_url)
    if bucket is None:
        _path(root, key).unlink(missing_ok=True)
        return
    with _explained(f"deleting {key!r}", root_url):
        _client(s3_config).delete_object(Bucket=bucket, Key=root + key)


def _place(root_url: str) -> tuple[str | None, str]:
    """Bucket and key prefix of a lake on S3, else None and the folder."""
    parts = urlsplit(root_url)
    if parts.scheme != "s3":
        return None, unquote(parts.path)
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def _path(root: str, key: str) -> Path:
    if _DOTTED_OR_EMPTY.search(key):
        raise ValueError(f"{key!r} leaves its folder; no listing gives such a key")
    return Path(root) / key


def _list_folder(root: Path, prefix: str) -> Iterator[Listed]:
    for path in (root / prefix).rglob("*"):
        if path.is_file():
            stat = path.stat()
            etag = f'"{stat.st_ino:x}-{stat.st_mtime_ns // 1000:x}-{stat.st_size:x}"'
            received_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=stat.st_mtime_ns // 1000)
            yield path.relative_to(root).as_posix(), stat.st_size, etag, received_at


def _client(s3_config: Mapping[str, str]) -> Any:
    """boto3's: it takes any key. It costs ten times obstore's CPU, and is here for these few keys alone."""
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
def _explained(doing: str, root_url: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailable(f"{doing} in {root_url} failed: {error}") from error
