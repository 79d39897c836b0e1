"""Presigned upload forms, as an app gets and uses them, on a real S3 server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from shelf_assets.intake.incoming import validate_incoming
from shelf_assets.intake.upload_store import INCOMING, UploadStore, photo_key
from shelf_assets.photos.decoder_pool import InProcessSanitizer, sanitizer_options
from shelf_assets.settings import load_settings
from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.running_servers import RunningApi

pytestmark = [pytest.mark.s3, pytest.mark.parametrize("api", ["s3"], indirect=True)]


def validate(api: RunningApi, image_id: str) -> None:
    """Validate an upload as the bucket's event does."""
    sanitizer = InProcessSanitizer(sanitizer_options(load_settings({}).photos))
    upload_store = UploadStore(api.lake.objects)
    asyncio.run(validate_incoming(upload_store, sanitizer, f"{INCOMING}/{image_id}", 25_000_000))


def upload(client: httpx.Client, data: bytes) -> str:
    created = client.post("/v1/uploads")
    assert created.status_code == 201, created.text
    form = created.json()
    assert form["max_bytes"] == 25_000_000
    assert datetime.fromisoformat(form["expires_at"]) > datetime.now(UTC)
    put = httpx.post(form["url"], data=form["fields"], files={"file": ("any.jpg", data)}, timeout=60)
    assert put.status_code in (200, 201, 204), put.text
    image_id: str = form["image_id"]
    return image_id


def test_form_upload_ends_like_a_direct_upload(api: RunningApi) -> None:
    with api.client(api.token()) as client, api.client(api.token("umbrella")) as stranger:
        image_id = upload(client, photo(mark=1))
        assert client.get(f"/v1/images/{image_id}").json()["state"] == "received"
        assert stranger.get(f"/v1/images/{image_id}").status_code == 404
        validate(api, image_id)
        assert photo_key(image_id) in api.photo_keys
        assert client.get(f"/v1/images/{image_id}").json()["state"] == "received"
        same = client.post("/v1/images", content=photo(mark=1))
        assert (same.status_code, same.json()["image_id"]) == (200, image_id)


def test_refused_form_upload_has_a_reason(api: RunningApi) -> None:
    with api.client(api.token()) as client:
        image_id = upload(client, b"text")
        validate(api, image_id)
        found = client.get(f"/v1/images/{image_id}").json()
        assert (found["state"], found["reason"]) == ("refused", "not_an_image")


def test_unused_form_is_no_image(api: RunningApi) -> None:
    with api.client(api.token()) as client:
        form = client.post("/v1/uploads").json()
        assert client.get(f"/v1/images/{form['image_id']}").status_code == 404


def test_form_requires_the_upload_scope(api: RunningApi) -> None:
    with api.client(api.token(scopes=("read",))) as client:
        assert client.post("/v1/uploads").status_code == 403


def test_forms_are_held_to_the_byte_limit(api: RunningApi) -> None:
    with api.client(api.token("former", bytes_="40000000/hour")) as client:
        answers = [client.post("/v1/uploads") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 429]
    assert answers[1].json()["reason"] == "over_quota"
