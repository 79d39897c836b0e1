"""A form by which a shopper's app puts one photo into `incoming/`, past every server of ours. What is made of it is `incoming`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shelf_assets.intake.upload_store import INCOMING

if TYPE_CHECKING:
    from shelf_assets.settings import Settings

OWNER_FIELD = "x-amz-meta-owner"


class NeedsS3(RuntimeError):
    """A folder takes no uploads but by the door itself."""


@dataclass(frozen=True)
class PresignedUpload:
    """POST `fields` to `url` as multipart/form-data, as they are, then the photo as the last field, `file`."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime
    max_bytes: int


def presign(settings: Settings, image_id: str, owner_hash: str, now: datetime) -> PresignedUpload:
    """The form for one photo of one owner: its key, its owner and its size are in the signed policy; the store refuses others.

    Signed here, without a request. Keys of a role sign no longer than they live: they may end before `expires_at`.
    Raises NeedsS3 where the lake is a folder.
    """
    if not settings.lake.on_s3:
        raise NeedsS3(
            "uploads by a form need a lake on S3: set SHELF_LAKE_URL to s3://bucket/prefix, or send POST /v1/images"
        )
    lake = urlsplit(settings.lake.url)
    prefix = lake.path.strip("/")
    secret, token = settings.lake.s3.secret_access_key, settings.lake.s3.session_token
    form = _client(
        settings.intake.form_endpoint_url or settings.lake.s3.endpoint_url,
        settings.lake.s3.region,
        settings.lake.s3.access_key_id,
        secret.get_secret_value() if secret else None,
        token.get_secret_value() if token else None,
    ).generate_presigned_post(
        Bucket=lake.netloc,
        Key=f"{prefix}/{INCOMING}/{image_id}" if prefix else f"{INCOMING}/{image_id}",
        Fields={OWNER_FIELD: owner_hash},
        Conditions=[{OWNER_FIELD: owner_hash}, ["content-length-range", 1, settings.photos.max_bytes]],
        ExpiresIn=settings.intake.form_seconds,
    )
    return PresignedUpload(
        form["url"], form["fields"], now + timedelta(seconds=settings.intake.form_seconds), settings.photos.max_bytes
    )


@lru_cache(maxsize=4)
def _client(endpoint: str | None, region: str, key_id: str | None, secret: str | None, token: str | None) -> Any:
    # boto3 takes a third of a second to import: only a door that hands out forms pays for it.
    import boto3
    from botocore.config import Config

    # A session of its own: the shared one is not made for threads.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
        # Servers other than AWS know no host of a bucket's own.
        config=Config(signature_version="s3v4", s3={"addressing_style": "path" if endpoint else "virtual"}),
    )
