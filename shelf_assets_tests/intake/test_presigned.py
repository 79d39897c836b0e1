"""Presigned forms against a real S3 server: the server enforces what the signed policy says."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from shelf_assets.intake.presigned import NeedsS3, PresignedUpload, presign
from shelf_assets.intake.upload_store import INCOMING, new_image_id
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.settings import Settings, load_settings
from shelf_assets_tests.conftest import LakeUnderTest

OWNER, STRANGER = "ab" * 16, "cd" * 16
MAX_BYTES = 2_000


def form(settings: Settings, image_id: str) -> PresignedUpload:
    return presign(settings.lake, settings.intake, MAX_BYTES, image_id, OWNER, datetime.now(UTC))


def send(upload: PresignedUpload, size_bytes: int, **changed: str) -> httpx.Response:
    fields = dict(upload.fields) | {name.replace("_", "-"): value for name, value in changed.items()}
    return httpx.post(upload.url, data=fields, files={"file": ("IMG_1.jpg", os.urandom(size_bytes))}, timeout=60)


@pytest.fixture
def image_id() -> str:
    return new_image_id(datetime.now(UTC))


@pytest.mark.s3
@pytest.mark.parametrize("size_bytes", [1, MAX_BYTES])
def test_form_upload_is_stored_with_its_owner(s3_lake: LakeUnderTest, image_id: str, size_bytes: int) -> None:
    answer = send(form(s3_lake.settings, image_id), size_bytes)
    assert answer.is_success, answer.text
    stored = ObjectWriter(s3_lake.lake.objects).find(f"{INCOMING}/{image_id}")
    assert stored is not None
    assert (len(stored.data), stored.metadata) == (size_bytes, {"owner": OWNER})


@pytest.mark.s3
@pytest.mark.parametrize(
    ("size_bytes", "changed"),
    [
        pytest.param(MAX_BYTES + 1, {}, id="more bytes than allowed"),
        pytest.param(0, {}, id="no bytes"),
        pytest.param(100, {"x_amz_meta_owner": STRANGER}, id="another owner"),
        pytest.param(100, {"x_amz_meta_reason": "fine"}, id="additional metadata"),
        pytest.param(100, {"key": "images/2026/11/24/mine"}, id="a key outside incoming"),
        pytest.param(100, {"policy": base64.b64encode(b"{}").decode()}, id="another policy"),
    ],
)
def test_form_refuses_uploads_outside_its_policy(
    s3_lake: LakeUnderTest, image_id: str, size_bytes: int, changed: dict[str, str]
) -> None:
    answer = send(form(s3_lake.settings, image_id), size_bytes, **changed)
    assert answer.status_code in (400, 403), answer.text
    assert not list(s3_lake.lake.objects.list(""))


@pytest.mark.s3
def test_presigned_form_uses_the_public_endpoint(s3_lake: LakeUnderTest, image_id: str) -> None:
    lake, intake = s3_lake.settings.lake, s3_lake.settings.intake
    public = str(lake.s3.endpoint_url).replace("127.0.0.1", "localhost")
    intake = intake.model_copy(update={"form_endpoint_url": public})
    upload = presign(lake, intake, MAX_BYTES, image_id, OWNER, datetime.now(UTC))
    assert urlsplit(upload.url).hostname == "localhost"
    assert send(upload, 100).is_success
    assert s3_lake.lake.objects.exists(f"{INCOMING}/{image_id}")


@pytest.mark.s3
def test_form_expires(s3_lake: LakeUnderTest, image_id: str) -> None:
    settings, now = s3_lake.settings.replace(intake__form_seconds=120), datetime.now(UTC)
    upload = presign(settings.lake, settings.intake, MAX_BYTES, image_id, OWNER, now)
    assert upload.expires_at == now + timedelta(seconds=120)
    policy = json.loads(base64.b64decode(upload.fields["policy"]))
    signed = datetime.fromisoformat(policy["expiration"])
    assert abs(signed - upload.expires_at) < timedelta(seconds=60)


def test_aws_bucket_is_addressed_by_its_own_host(image_id: str) -> None:
    """AWS serves buckets that were created since 2020 under their own host name only."""
    environ = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-central-1",
        "SHELF_LAKE_URL": "s3://photos",
    }
    upload = form(load_settings(environ), image_id)
    assert upload.url == "https://photos.s3.eu-central-1.amazonaws.com/"
    assert upload.fields["key"] == f"{INCOMING}/{image_id}"
    assert upload.fields["x-amz-security-token"] == "token"


def test_form_for_a_disk_lake_is_refused(disk_lake: LakeUnderTest, image_id: str) -> None:
    with pytest.raises(NeedsS3, match="SHELF_LAKE_URL"):
        form(disk_lake.settings, image_id)
