"""Photos uploaded over HTTP: the answers, by key and owner. Limits of size and time are in `test_bounds`."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from PIL import Image

from shelf_assets.intake.upload_store import photo_key, received_at_of
from shelf_assets_tests.intake.clients import form, noise, photo
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import Place, RunningApi

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def client(api: RunningApi) -> httpx.Client:
    return api.client(api.token())


def test_acknowledged_photo_is_in_the_store(start_api: StartApi, place: Place) -> None:
    api = start_api(place=place)
    with api.client(api.token()) as client:
        began = datetime.now(UTC)
        sent = client.post("/v1/images", content=photo(80, 60))
        assert sent.status_code == 201, sent.text
        body = sent.json()
        assert sent.headers["Location"] == f"/v1/images/{body['image_id']}"
        assert (body["state"], body["width_px"], body["height_px"]) == ("received", 80, 60)
        received_at = datetime.fromisoformat(body["received_at"])
        assert abs((received_at - began).total_seconds()) < 60
        assert body["day"] == received_at.date().isoformat()
        assert received_at == received_at_of(body["image_id"])
        assert api.photo_keys == [photo_key(body["image_id"])]
        with Image.open(io.BytesIO(api.lake.objects.get(photo_key(body["image_id"])))) as kept:
            assert (kept.format, kept.size) == ("JPEG", (80, 60))
        state = client.get(sent.headers["Location"])
        assert state.status_code == 200 and state.json()["state"] == "received"
        assert state.json()["received_at"] == body["received_at"]


def test_form_and_raw_body_give_the_same_photo(client: httpx.Client) -> None:
    sent = client.post("/v1/images", files={"file": ("a.jpg", photo(mark=1))}, data={"note": "beside it"})
    assert sent.status_code == 201, sent.text
    assert client.post("/v1/images", content=photo(mark=1)).json()["image_id"] == sent.json()["image_id"]


def test_same_bytes_of_one_owner_are_one_photo(api: RunningApi, client: httpx.Client) -> None:
    first = client.post("/v1/images", content=photo(mark=2))
    again = client.post("/v1/images", content=photo(mark=2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert api.photo_keys.count(photo_key(first.json()["image_id"])) == 1
    with api.client(api.token("acme")) as colleague, api.client(api.token("umbrella")) as stranger:
        assert colleague.post("/v1/images", content=photo(mark=2)).json() == first.json()
        other = stranger.post("/v1/images", content=photo(mark=2))
        assert other.status_code == 201 and other.json()["image_id"] != first.json()["image_id"]


def test_concurrent_senders_of_same_bytes_get_one_photo(client: httpx.Client) -> None:
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/images", content=photo(mark=3))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.json()["image_id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]


def test_idempotency_key_is_bound_to_its_photo(api: RunningApi, client: httpx.Client) -> None:
    key = {"Idempotency-Key": "order-66"}
    first = client.post("/v1/images", content=photo(mark=4), headers=key)
    assert first.status_code == 201
    assert client.post("/v1/images", content=photo(mark=4), headers=key).json() == first.json()
    other = client.post("/v1/images", content=photo(mark=5), headers=key)
    assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
    with api.client(api.token("umbrella")) as stranger:
        assert stranger.post("/v1/images", content=photo(mark=5), headers=key).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "caf\xe9"])
def test_invalid_idempotency_key_is_refused(client: httpx.Client, key: str) -> None:
    refused = client.post("/v1/images", content=photo(mark=6), headers={"Idempotency-Key": key.encode("latin-1")})
    assert (refused.status_code, refused.json()["reason"]) == (422, "invalid_request")
    assert refused.headers["Content-Type"] == PROBLEM


def test_photo_with_requested_erasure_is_not_accepted_again(client: httpx.Client) -> None:
    sent = client.post("/v1/images", content=photo(mark=7)).json()
    requested = client.delete(f"/v1/images/{sent['image_id']}")
    assert requested.status_code == 202 and requested.json()["state"] == "erasure_requested"
    assert client.delete(f"/v1/images/{sent['image_id']}").json() == requested.json()
    state = client.get(f"/v1/images/{sent['image_id']}").json()
    assert (state["state"], state["asked_at"]) == ("erasure_requested", requested.json()["asked_at"])
    again = client.post("/v1/images", content=photo(mark=7))
    assert (again.status_code, again.json()["reason"]) == (410, "erased")


def test_image_of_another_owner_is_unknown(api: RunningApi, client: httpx.Client) -> None:
    path = client.post("/v1/images", content=photo(mark=8)).headers["Location"]
    with api.client(api.token("umbrella")) as stranger:
        unknown = stranger.get("/v1/images/019abf2e-5c00-7d3a-9c41-0c6f4a1b2c3d")
        for refused in (stranger.get(path), stranger.delete(path), stranger.get("/v1/images/..%2fkeys")):
            assert refused.status_code == 404
        known, made_up = stranger.get(path).json(), unknown.json()
        # The answer does not show whether the image exists.
        assert {**known, "request_id": ""} == {**made_up, "request_id": ""}
    assert client.get(path).json()["state"] == "received"


def test_image_without_an_owner_is_unknown_to_all(api: RunningApi, client: httpx.Client) -> None:
    image_id = "019abf2e-5c00-7d3a-9c41-0c6f4a1b2c3d"
    api.lake.objects.put(photo_key(image_id), photo())
    assert client.get(f"/v1/images/{image_id}").status_code == 404
    assert client.delete(f"/v1/images/{image_id}").status_code == 404


def test_key_is_limited_to_its_scopes(api: RunningApi, client: httpx.Client) -> None:
    path = client.post("/v1/images", content=photo(mark=9)).headers["Location"]
    asks = {
        "upload": lambda client: client.post("/v1/images", content=photo(mark=9)),
        "read": lambda client: client.get(path),
        "erase": lambda client: client.delete(path),
    }
    for scope in asks:
        with api.client(api.token(scopes=(scope,))) as limited:
            for requested, ask in asks.items():
                answer = ask(limited)
                if requested == scope:
                    assert answer.status_code < 300
                else:
                    assert (answer.status_code, answer.json()["reason"]) == (403, "missing_scope")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer shelf_0123456789abcdef_" + "A" * 43},
        {"Authorization": "Basic YTpi"},
        {"X-API-Key": "../../etc/passwd"},
        {"Authorization": "Bearer ../keys/x"},
    ],
)
def test_request_without_a_valid_key_is_refused(api: RunningApi, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/v1/images"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/images/a"),
        ("DELETE", "/v1/images/a"),
    ):
        refused = httpx.request(method, api.url + path, headers=headers, timeout=60)
        assert (refused.status_code, refused.json()["reason"]) == (401, "no_key")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.headers["Content-Type"] == PROBLEM


def test_x_api_key_header_is_accepted(api: RunningApi) -> None:
    with api.client(**{"X-API-Key": api.token()}) as client:
        assert client.post("/v1/images", content=photo(mark=10)).status_code == 201


def test_declared_content_type_is_ignored(client: httpx.Client) -> None:
    png = noise(20, 20, seed=1)
    assert client.post("/v1/images", content=png, headers={"Content-Type": "text/html"}).status_code == 201
    form = {"file": ("invoice.exe", noise(20, 20, seed=2), "application/x-msdownload")}
    assert client.post("/v1/images", files=form).status_code == 201
    script = b"<script>alert(1)</script>"
    for refused in (
        client.post("/v1/images", content=script, headers={"Content-Type": "image/jpeg"}),
        client.post("/v1/images", files={"file": ("a.jpg", script, "image/jpeg")}),
    ):
        assert (refused.status_code, refused.json()["reason"]) == (415, "not_an_image")


@pytest.mark.parametrize(
    "name",
    [
        "../../../../tmp/evil.jpg",
        "/etc/passwd",
        "..\\..\\evil.jpg",
        "a\x00.jpg",
        "x" * 3000,
        "'; DROP TABLE",
        "a/b/c.jpg",
    ],
)
def test_file_name_does_not_affect_the_object_key(api: RunningApi, client: httpx.Client, name: str) -> None:
    before = {stored.key for stored in api.lake.objects.list("")}
    sent = client.post("/v1/images", files={"file": (name, photo(mark=1000 + hash(name) % 1000))})
    assert sent.status_code == 201, sent.text
    new = {stored.key for stored in api.lake.objects.list("")} - before
    assert {key.split("/")[0] for key in new} <= {"images", "door", "facts"}
    assert photo_key(sent.json()["image_id"]) in new
    assert not Path("/tmp/evil.jpg").exists()


def test_empty_photo_is_refused(client: httpx.Client) -> None:
    for refused in (client.post("/v1/images", content=b""), client.post("/v1/images", files={"file": ("a.jpg", b"")})):
        assert (refused.status_code, refused.json()["reason"]) == (422, "empty")


FILE = ('name="file"; filename="a.jpg"', photo(mark=11))
FORMS = {
    "two files": (form(FILE, FILE), 422, "several_photos"),
    "a file of another field beside it": (form(FILE, ('name="x"; filename="b"', b"b")), 422, "several_photos"),
    "a file of another field": (form(('name="x"; filename="b"', photo())), 422, "no_photo"),
    "fields alone": (form(('name="x"', b"1")), 422, "no_photo"),
    "no end": (form(FILE, end=b""), 400, "bad_form"),
    "another boundary": (form(FILE, boundary=b"c"), 400, "bad_form"),
    "nothing": (b"", 400, "bad_form"),
    "many fields": (form(*[("name=x", b"1")] * 40, FILE), 400, "bad_form"),
    "a header without end": (b"--b\r\nContent-Disposition: " + b"x" * 60_000, 400, "bad_form"),
    "many headers": (b"--b\r\n" + b"A: b\r\n" * 2_000, 400, "bad_form"),
    "a header that is none": (b"--b\r\n\x00\xff: b\r\n\r\n", 400, "bad_form"),
}


@pytest.mark.parametrize("name", FORMS)
def test_malformed_form_is_refused(client: httpx.Client, name: str) -> None:
    body, status, reason = FORMS[name]
    refused = client.post("/v1/images", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (refused.status_code, refused.json()["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 300}",
    ],
)
def test_multipart_that_is_no_form_is_refused(client: httpx.Client, content_type: str) -> None:
    refused = client.post("/v1/images", content=form(FILE), headers={"Content-Type": content_type})
    assert (refused.status_code, refused.json()["reason"]) == (400, "bad_form")


def test_every_error_is_a_problem_document(api: RunningApi) -> None:
    asks = (("GET", "/nowhere", 404), ("PATCH", "/v1/images", 405), ("GET", "/v1/images/a/b", 404))
    for method, path, status in asks:
        answer = httpx.request(method, api.url + path, timeout=60)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == PROBLEM
        problem = answer.json()
        assert problem["status"] == status
        assert problem["request_id"] == answer.headers["X-Request-ID"]
        assert set(problem) == {"type", "title", "status", "reason", "detail", "request_id"}


def test_responses_forbid_sniffing_and_caching(client: httpx.Client) -> None:
    for answer in (client.post("/v1/images", content=photo(mark=12)), client.post("/v1/images", content=b"x")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers
