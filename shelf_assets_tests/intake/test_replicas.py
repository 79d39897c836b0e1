"""Replicas of the upload API share one lake and the counts of all limits."""

from __future__ import annotations

import threading

import httpx
import pytest

from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import Place
from shelf_assets_tests.servers import refusing_port

pytestmark = pytest.mark.redis


def test_replicas_share_one_rate_limit(start_api: StartApi, place: Place, redis_url: str) -> None:
    settings = {"SHELF_HTTP_REDIS_URL": redis_url, "SHELF_HTTP_ADDRESS_REQUESTS": "100000/minute"}
    apis = [start_api(settings, place) for _ in range(2)]
    token = apis[0].token("acme", requests="20/hour")
    statuses: list[int] = []

    def send(client: httpx.Client, first: int) -> None:
        for mark in range(first, first + 20):
            answer = client.post("/v1/images", content=photo(mark=mark))
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                assert 0 < int(answer.headers["Retry-After"]) <= 7200

    clients = [api.client(token) for api in apis]
    senders = [threading.Thread(target=send, args=(client, 100 * n)) for n, client in enumerate(clients)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(statuses) == 40
    # Two concurrent requests for the last room may both be refused; none is granted more.
    assert 18 <= statuses.count(201) <= 20
    assert statuses.count(201) + statuses.count(429) == 40


def test_replicas_see_each_others_photos_and_erasures(start_api: StartApi, place: Place) -> None:
    one, two = start_api(place=place), start_api(place=place)
    token = one.token()
    with one.client(token) as here, two.client(token) as there:
        sent = here.post("/v1/images", content=photo())
        assert sent.status_code == 201
        again = there.post("/v1/images", content=photo())
        assert (again.status_code, again.json()) == (200, sent.json())
        assert there.get(sent.headers["Location"]).json()["state"] == "received"
        assert there.delete(sent.headers["Location"]).status_code == 202
        assert here.post("/v1/images", content=photo()).status_code == 410


def test_upload_is_refused_when_redis_is_unavailable(start_api: StartApi, redis_url: str) -> None:
    import redis

    from shelf_assets_tests.servers import redis_server

    with redis_server() as own_url:
        api = start_api({"SHELF_HTTP_REDIS_URL": own_url})
        with api.client(api.token()) as client:
            assert client.post("/v1/images", content=photo()).status_code == 201
            before = api.photo_keys
            redis.Redis.from_url(own_url).shutdown(nosave=True)
            refused = client.post("/v1/images", content=photo(mark=1))
            assert (refused.status_code, refused.json()["reason"]) == (503, "quotas_unavailable")
            assert int(refused.headers["Retry-After"]) > 0
            assert "redis" not in refused.text.lower()
            assert api.photo_keys == before
            assert client.get("/healthz").status_code == 200
    assert any("Redis" in (line.get("cause") or "") for line in api.log_lines)


def test_server_without_its_redis_is_not_ready(tmp_path, start_api: StartApi) -> None:
    from shelf_assets_tests.intake.running_servers import on_disk, start

    url = f"redis://:open-sesame@127.0.0.1:{refusing_port()}/0"
    api = start(on_disk(tmp_path), tmp_path / "api", {"SHELF_HTTP_REDIS_URL": url})
    try:
        answer = httpx.get(f"{api.url}/readyz", timeout=60)
        assert (answer.status_code, answer.json()["reason"]) == (503, "not_ready")
        assert "rate limits" in answer.json()["detail"]
        assert "open-sesame" not in answer.text + api.log_text
    finally:
        api.stop()
