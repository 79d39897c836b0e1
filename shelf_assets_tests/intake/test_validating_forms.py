"""Two servers that validate presigned uploads themselves, on a real S3 server without events or Lambda."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from shelf_assets.intake.upload_store import INCOMING, photo_key
from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.conftest import StartApi, place_of
from shelf_assets_tests.intake.running_servers import ANSWER_SECONDS, Place, RunningApi

pytestmark = pytest.mark.s3


@pytest.fixture
def s3_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield place_of("s3", request, tmp_path)


def upload(client: httpx.Client, data: bytes) -> str:
    form = client.post("/v1/uploads").json()
    assert httpx.post(form["url"], data=form["fields"], files={"file": ("any.jpg", data)}, timeout=60).is_success
    image_id: str = form["image_id"]
    return image_id


def wait_until_judged(api: RunningApi) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while list(api.lake.objects.list(f"{INCOMING}/")):
        assert time.monotonic() < deadline, api.log_text
        time.sleep(0.1)


def test_server_validates_form_uploads_without_events(s3_place: Place, start_api: StartApi) -> None:
    settings = {"SHELF_INTAKE_VALIDATE_INCOMING_SECONDS": "1"}
    api, _beside = start_api(settings, s3_place), start_api(settings, s3_place)
    with api.client(api.token()) as client:
        good, bad = upload(client, photo(mark=1)), upload(client, b"text")
        wait_until_judged(api)
        assert api.photo_keys == [photo_key(good)]
        assert client.get(f"/v1/images/{bad}").json()["reason"] == "not_an_image"
        later = upload(client, photo(mark=2))
        wait_until_judged(api)
        assert api.photo_keys == sorted([photo_key(good), photo_key(later)])
    api.stop()
    assert not [line for line in api.log_lines if line["level"] == "error"], (
        "a stopping server must end its validation without an error"
    )
    logged = [line for line in api.log_lines if line["event"] == "uploads validated"]
    assert all(set(line) <= {"event", "level", "at", "accepted", "refused", "repeated", "gone"} for line in logged), (
        logged
    )


def test_form_names_the_public_endpoint(s3_place: Place, start_api: StartApi) -> None:
    public = s3_place.environment["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost")
    api = start_api({"SHELF_INTAKE_FORM_ENDPOINT_URL": public}, s3_place)
    with api.client(api.token()) as client:
        form = client.post("/v1/uploads").json()
        assert urlsplit(form["url"]).netloc == urlsplit(public).netloc
        sent = httpx.post(form["url"], data=form["fields"], files={"file": ("any.jpg", photo(mark=3))}, timeout=60)
        assert sent.is_success, sent.text
    assert [stored.key for stored in api.lake.objects.list(f"{INCOMING}/")] == [f"{INCOMING}/{form['image_id']}"]
