"""Presigned upload forms, with which an app puts one photo straight into `incoming/` on S3. `incoming` validates it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from shelf_assets.intake.settings import IntakeSettings
from shelf_assets.intake.upload_store import INCOMING
from shelf_assets.lake.settings import LakeSettings

OWNER_FIELD = "x-amz-meta-owner"


class NeedsS3(RuntimeError):
    """A lake in a folder has no presigned uploads."""


@dataclass(frozen=True)
class PresignedUpload:
    """POST `fields` to `url` as multipart/form-data, unchanged, with the photo as the last field, `file`."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime
    max_bytes: int


def presign(
    lake: LakeSettings, intake: IntakeSettings, max_bytes: int, image_id: str, owner_hash: str, now: datetime
) -> PresignedUpload:
    """Make the form for one photo of one owner. Its signed policy fixes key, owner and size; the store enforces them.

    Signing sends no request. A form that is signed with temporary credentials may expire with them, before `expires_at`.
    Raises NeedsS3 for a lake in a folder.
    """
    if not lake.on_s3:
        raise NeedsS3(
            "presigned uploads need a lake on S3: set SHELF_LAKE_URL to s3://bucket/prefix, or send POST /v1/images"
        )
    place = urlsplit(lake.url)
    prefix = place.path.strip("/")
    secret, token = lake.s3.secret_access_key, lake.s3.session_token
    form = _client(
        intake.form_endpoint_url or lake.s3.endpoint_url,
        lake.s3.region,
        lake.s3.access_key_id,
        secret.get_secret_value() if secret else None,
        token.get_secret_value() if token else None,
    ).generate_presigned_post(
        Bucket=place.netloc,
        Key=f"{prefix}/{INCOMING}/{image_id}" if prefix else f"{INCOMING}/{image_id}",
        Fields={OWNER_FIELD: owner_hash},
        Conditions=[{OWNER_FIELD: owner_hash}, ["content-length-range", 1, max_bytes]],
        ExpiresIn=intake.form_seconds,
    )
    return PresignedUpload(form["url"], form["fields"], now + timedelta(seconds=intake.form_seconds), max_bytes)


@lru_cache(maxsize=4)
def _client(endpoint: str | None, region: str, key_id: str | None, secret: str | None, token: str | None) -> Any:
    # Importing boto3 takes a third of a second, so it is imported with the first form.
    import boto3
    from botocore.config import Config

    # A session of its own, because boto3's default session is not thread-safe.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
        # S3 servers other than AWS have no host names per bucket.
        config=Config(signature_version="s3v4", s3={"addressing_style": "path" if endpoint else "virtual"}),
    )
