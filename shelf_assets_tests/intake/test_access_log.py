"""The metrics and the access log of the upload API; neither contains personal data."""

from __future__ import annotations

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import RunningApi

FORWARDED = "203.0.113.77"


def samples(api: RunningApi) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = httpx.get(f"{api.url}/metrics", timeout=60).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(api: RunningApi, name: str, **labels: str) -> float:
    return samples(api).get((name, tuple(sorted(labels.items()))), 0.0)


def test_refusals_are_counted_by_reason(start_api: StartApi) -> None:
    api = start_api({"SHELF_PHOTOS_MAX_BYTES": "100000"})
    token = api.token()
    with api.client(token) as client:
        new = photo(80, 60)
        client.post("/v1/images", content=new), client.post("/v1/images", content=new)
        client.post("/v1/images", content=b"text")
        client.post("/v1/images", content=b"words")
        client.post("/v1/images", content=bytes(100_001))
        client.get("/v1/images/unknown")
        client.get("/an/address?of=nothing")
    httpx.post(f"{api.url}/v1/images", content=new, timeout=60)
    httpx.request("BREW", f"{api.url}/v1/images", timeout=60)
    assert value(api, "shelf_http_refusals_total", reason="not_an_image") == 2
    assert value(api, "shelf_http_refusals_total", reason="too_large") == 1
    assert value(api, "shelf_http_refusals_total", reason="unknown_image") == 1
    assert value(api, "shelf_http_refusals_total", reason="no_key") == 1
    assert value(api, "shelf_upload_photos_total", outcome="new") == 1
    assert value(api, "shelf_upload_photos_total", outcome="same") == 1
    assert value(api, "shelf_upload_pixels_total") == 2 * 80 * 60
    assert value(api, "shelf_http_received_bytes_total") == 2 * len(new) + len(b"text") + len(b"words")
    post = {"method": "POST", "route": "/v1/images"}
    for status, count in (("201", 1), ("200", 1), ("415", 2), ("413", 1), ("401", 1)):
        assert value(api, "shelf_http_requests_total", status=status, **post) == count
    assert value(api, "shelf_http_request_seconds_count", **post) == 6
    assert value(api, "shelf_http_in_flight") == 1  # the request for the metrics itself
    assert value(api, "shelf_http_requests_total", method="GET", route="other", status="404") == 1
    assert value(api, "shelf_http_requests_total", method="other", route="/v1/images", status="405") == 1
    all_labels = {label for _, labels in samples(api) for _, label in labels}
    assert not all_labels & {"unknown", "/an/address", "BREW", "nothing"}


def test_log_contains_no_personal_data(start_api: StartApi) -> None:
    api = start_api({"SHELF_HTTP_TRUSTED_PROXIES": "127.0.0.1"})
    token = api.token("acme-of-springfield")
    _, key_id, secret = token.split("_", 2)
    headers = {"X-Forwarded-For": FORWARDED, "User-Agent": "spy-agent", "X-Request-ID": "asked-for.1"}
    with api.client(token, **headers) as client:
        sent = client.post("/v1/images?mail=a@example.org", files={"file": ("my-secret-name.jpg", photo())})
        assert sent.status_code == 201
        assert sent.headers["X-Request-ID"] == "asked-for.1"
        client.post("/v1/images", content=b"private words", headers={"Idempotency-Key": "order-of-marge"})
        client.get("/v1/images/my-secret-id")
    httpx.get(f"{api.url}/v1/images/a", headers={"Authorization": "Bearer wrong-token"}, timeout=60)
    httpx.request("GET", f"{api.url}/%00\xff", timeout=60)
    image_id = sent.json()["image_id"]
    lines = [line for line in api.log_lines if line["event"] == "request"]
    uploads = [line for line in lines if line["route"] == "/v1/images"]
    assert [(line["status"], line["reason"]) for line in uploads] == [(201, None), (415, "not_an_image")]
    assert uploads[0]["request_id"] == "asked-for.1"
    assert uploads[0]["key_id"] == key_id and uploads[0]["bytes"] > 1000 and uploads[0]["seconds"] > 0
    assert uploads[0]["method"] == "POST" and uploads[0]["level"] == "info"
    facts = api.lake.objects.folder / "facts" / "images"  # type: ignore[operator]
    [owner] = {re.search(r'"owner": "(\w+)"', path.read_text())[1] for path in facts.rglob("*.json")}  # type: ignore[index]
    personal = [
        *(FORWARDED, "127.0.0.1", secret, "wrong-token", "acme", owner, "my-secret-name", "my-secret-id"),
        *("private words", "spy-agent", "order-of-marge", "example.org", image_id),
    ]
    assert not [each for each in personal if each in api.log_text]


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", "caf\xe9", "{}", "a\tb"])
def test_invalid_request_id_is_replaced(start_api: StartApi, api: RunningApi, request_id: str) -> None:
    given = httpx.get(f"{api.url}/healthz", headers={"X-Request-ID": request_id.encode("latin-1")}, timeout=60)
    assert given.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{16}", given.headers["X-Request-ID"])
    assert "café" not in api.log_text


def test_forwarded_address_counts_only_from_a_trusted_proxy(start_api: StartApi) -> None:
    """X-Forwarded-For evades the limit of an address only if a trusted proxy sends it."""

    def answers(api: RunningApi) -> list[int]:
        return [
            httpx.get(f"{api.url}/v1/images/a", headers={"X-Forwarded-For": f"203.0.113.{n}"}, timeout=60).status_code
            for n in range(4)
        ]

    limited = {"SHELF_HTTP_ADDRESS_REQUESTS": "2/hour"}
    assert answers(start_api(limited)) == [401, 401, 429, 429]
    assert answers(start_api(limited | {"SHELF_HTTP_TRUSTED_PROXIES": "192.0.2.1"})) == [401, 401, 429, 429]
    assert answers(start_api(limited | {"SHELF_HTTP_TRUSTED_PROXIES": "127.0.0.1"})) == [401] * 4
