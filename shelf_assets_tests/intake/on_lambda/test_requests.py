"""The function behind both kinds of API Gateway, on a real S3 server."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shelf_assets.http.keys import Keys
from shelf_assets.intake import lambda_function
from shelf_assets.intake.upload_store import new_image_id, photo_key
from shelf_assets_tests.intake.on_lambda.conftest import Deploy
from shelf_assets_tests.intake.on_lambda.events import EVENTS, Context, created, http_event, rest_event
from shelf_assets_tests.servers import refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera


def token(*scopes: str) -> str:
    keys = Keys(lambda_function.container_state().uploads.object_writer.store)
    return keys.create("shop", scopes or ("upload", "read", "erase"), datetime.now(UTC))[1]


def answered(event: dict[str, Any], status: int) -> dict[str, Any]:
    answer = lambda_function.handler(event, Context())
    assert answer is not None and answer["statusCode"] == status, answer
    assert answer["isBase64Encoded"] is False, "a REST API may not decode base64 responses"
    return json.loads(answer["body"])


def multipart(data: bytes) -> tuple[bytes, str]:
    request = httpx.Request("POST", "http://upload", files={"file": ("../../etc/passwd.jpg", data, "text/html")})
    return request.read(), request.headers["content-type"]


@EVENTS
@pytest.mark.s3
@pytest.mark.parametrize("in_a_form", [False, True])
def test_photo_in_a_base64_request_is_stored(spaced_lake: str, event: Any, in_a_form: bool) -> None:
    """The bytes come as base64 and are not valid text in any encoding."""
    known, data = token(), from_a_camera()
    body, content_type = multipart(data) if in_a_form else (data, "image/jpeg")
    taken = answered(event("POST", "/v1/images", known, body, content_type), 201)
    stored = lambda_function.container_state().uploads.object_writer.find(photo_key(taken["image_id"]))
    assert stored is not None and stored.metadata["upload-sha256"] == hashlib.sha256(data).hexdigest()
    assert answered(event("GET", f"/v1/images/{taken['image_id']}", known), 200)["state"] == "received"
    assert answered(event("POST", "/v1/images", known, body, content_type), 200)["image_id"] == taken["image_id"]
    answered(event("DELETE", f"/v1/images/{taken['image_id']}", known), 202)
    assert answered(event("GET", f"/v1/images/{taken['image_id']}", known), 200)["state"] == "erasure_requested"


@EVENTS
@pytest.mark.s3
def test_refused_request_has_its_reason(spaced_lake: str, event: Any) -> None:
    assert answered(event("POST", "/v1/images", None, from_a_camera(), "image/jpeg"), 401)["reason"] == "no_key"
    assert (
        answered(event("POST", "/v1/images", token("read"), from_a_camera(), "image/jpeg"), 403)["reason"]
        == "missing_scope"
    )
    assert answered(event("POST", "/v1/images", token(), b"milk", "image/jpeg"), 415)["reason"] == "not_an_image"
    assert answered(event("GET", f"/v1/images/{new_image_id(datetime.now(UTC))}", token()), 404)


@pytest.mark.s3
def test_rate_limit_counts_the_address_of_the_sender(spaced_lake: str, deploy: Deploy) -> None:
    deploy(http__address_requests="2/minute")
    for path in ("/v1/images/a", "/v1/images/b"):
        answered(http_event("GET", path, None), 401)
    refused = http_event("GET", "/v1/images/c", None)
    answer = lambda_function.handler(refused, Context())
    assert answer is not None and answer["statusCode"] == 429 and int(answer["headers"]["retry-after"]) > 0
    refused["requestContext"]["http"]["sourceIp"] = "198.51.100.9"
    answered(refused, 401)


@EVENTS
@pytest.mark.s3
def test_form_upload_ends_as_photo_or_reason(spaced_lake: str, event: Any) -> None:
    """The whole path: request a form, upload, S3's event, and the state that the owner sees."""
    known = token()
    states = {}
    for name, data in {"good": from_a_camera(), "same": from_a_camera(), "bad": b"milk, eggs"}.items():
        form = answered(event("POST", "/v1/uploads", known), 201)
        sent = httpx.post(form["url"], data=form["fields"], files={"file": ("IMG_1.jpg", data)}, timeout=60)
        assert sent.is_success, sent.text
        assert answered(event("GET", f"/v1/images/{form['image_id']}", known), 200)["state"] == "received"
        lambda_function.handler(created(spaced_lake, form["image_id"]), Context())
        states[name] = answered(event("GET", f"/v1/images/{form['image_id']}", known), 200)
        assert states[name]["image_id"] == form["image_id"]
    assert [(each["state"], each["reason"]) for each in states.values()] == [
        ("received", None),
        ("received", None),
        ("refused", "not_an_image"),
    ]
    answered(event("DELETE", f"/v1/images/{states['same']['image_id']}", known), 202)
    erased = answered(event("GET", f"/v1/images/{states['good']['image_id']}", known), 200)
    assert erased["state"] == "erasure_requested", "both image_ids belong to one photo"


@pytest.mark.s3
def test_unavailable_store_gives_503_with_retry_after(spaced_lake: str, deploy: Deploy) -> None:
    known = token()
    deploy(lake__s3__endpoint_url=f"http://127.0.0.1:{refusing_port()}")
    answer = lambda_function.handler(rest_event("POST", "/v1/images", known, from_a_camera(), "image/jpeg"), Context())
    assert answer is not None and answer["statusCode"] == 503 and answer["headers"]["retry-after"]
