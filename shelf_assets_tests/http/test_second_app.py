"""A second, tiny app on the package `http`: everything that `http` promises holds without `intake`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from shelf_assets.http.keys import Keys
from shelf_assets.http.settings import HttpSettings
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.http.second_app import Shelf, shelf_app

BODY_BYTES = 40_000_000


@dataclass
class RunningApp:
    """The app behind a real server on loopback."""

    url: str
    shelf: Shelf
    store: ObjectStore

    def token(self, *scopes: str, **limits: str) -> str:
        return Keys(self.store).create("ada", scopes, datetime.now(UTC), **limits)[1]

    def post(self, label: str, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(f"{self.url}/labels/{label}", headers=headers, timeout=60)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningApp]]:
    """Starts the app with the test's settings; stops it after the test."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def started(**settings: str) -> RunningApp:
        shelf, store = Shelf(), ObjectStore((tmp_path / "lake").as_uri())
        config = uvicorn.Config(shelf_app(store, shelf, HttpSettings(**settings)), log_config=None, http="h11")
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 60
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        return RunningApp(f"http://127.0.0.1:{listening.getsockname()[1]}", shelf, store)

    yield started
    for server, thread in running:
        server.should_exit = True
        thread.join(60)


@contextmanager
def logged(capfd: pytest.CaptureFixture[str]) -> Iterator[list[dict[str, Any]]]:
    """The log lines that are written while the block runs."""
    capfd.readouterr()
    lines: list[dict[str, Any]] = []
    yield lines
    lines += [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]


def test_a_public_route_needs_no_key(start: Callable[..., RunningApp]) -> None:
    answer = start().get("/hello")
    assert (answer.status_code, answer.json()) == (200, {"hello": "shopper"})


def test_a_guarded_route_asks_for_a_key_with_its_scope(start: Callable[..., RunningApp]) -> None:
    app = start()
    refused = app.post("tin")
    assert (refused.status_code, refused.json()["reason"]) == (401, "no_key")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    refused = app.post("tin", app.token("read"))
    assert (refused.status_code, refused.json()["reason"]) == (403, "missing_scope")
    accepted = app.post("tin", app.token("upload"))
    assert (accepted.status_code, accepted.json()) == (201, {"owner": "ada"})
    assert app.shelf.labels == ["tin"]


def test_a_key_and_an_address_are_rate_limited(start: Callable[..., RunningApp]) -> None:
    app = start(address_requests="3/hour")
    token = app.token("upload", requests="2/hour")
    assert [app.post("tin", token).status_code for _ in range(3)] == [201, 201, 429]
    limited = app.post("tin", token)
    assert limited.json()["reason"] == "over_quota"
    assert 0 < int(limited.headers["Retry-After"]) <= 7200
    assert [app.post("tin", "guess").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_an_own_problem_is_answered_and_documented_like_all_others(start: Callable[..., RunningApp]) -> None:
    app = start()
    token = app.token("upload")
    for label in ("tin", "jar", "mug"):
        assert app.post(label, token).status_code == 201
    refused = app.post("box", token)
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json() == {
        "type": "urn:shelf:shelf_is_full",
        "title": "The shelf is full.",
        "status": 409,
        "reason": "shelf_is_full",
        "detail": "it holds three labels",
        "request_id": refused.headers["X-Request-ID"],
    }
    document = app.get("/openapi.json").json()
    assert document["info"]["title"] == "shelf_assets: labels"
    assert "ProblemBody" in document["components"]["schemas"]
    responses = document["paths"]["/labels/{label}"]["post"]["responses"]
    assert "shelf_is_full" in responses["409"]["content"]["application/problem+json"]["examples"]


def test_an_unknown_address_is_a_problem_with_security_headers(start: Callable[..., RunningApp]) -> None:
    answer = start().get("/nowhere")
    assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_requests_are_counted_by_route_and_reason(start: Callable[..., RunningApp]) -> None:
    app = start()
    app.get("/hello"), app.post("tin"), app.get("/nowhere/of/a/sender")
    text = app.get("/metrics").text
    assert 'shelf_http_requests_total{method="GET",route="/hello",status="200"} 1.0' in text
    assert 'shelf_http_requests_total{method="POST",route="/labels/{label}",status="401"} 1.0' in text
    assert 'shelf_http_refusals_total{reason="no_key"} 1.0' in text
    assert "nowhere" not in text and "shelf_upload" not in text


def test_a_request_is_one_line_of_log_without_personal_data(
    start: Callable[..., RunningApp], capfd: pytest.CaptureFixture[str]
) -> None:
    app = start()
    token = app.token("upload")
    with logged(capfd) as lines:
        assert app.post("private-words", token).status_code == 201
        time.sleep(0.5)
    [line] = [line for line in lines if line["event"] == "request"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/labels/{label}", 201)
    assert line["key_id"] == token.split("_")[1]
    assert not re.search("private-words|ada|127.0.0.1", json.dumps(lines))


def test_an_unexpected_error_is_answered_and_logged_without_its_text(
    start: Callable[..., RunningApp], capfd: pytest.CaptureFixture[str]
) -> None:
    app = start()
    token = app.token("upload")
    with logged(capfd) as lines:
        answer = app.post("bomb", token)
        time.sleep(0.5)
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal")
    [line] = [line for line in lines if line["event"] == "unexpected error"]
    assert line["error"] == "RuntimeError" and line["request_id"] == answer.headers["X-Request-ID"]
    assert "words that a sender wrote" not in answer.text + json.dumps(lines)


def test_the_cause_of_an_unavailable_store_is_logged_and_not_answered(
    start: Callable[..., RunningApp], capfd: pytest.CaptureFixture[str]
) -> None:
    app = start()
    token = app.token("upload")
    with logged(capfd) as lines:
        answer = app.post("storm", token)
        time.sleep(0.5)
    assert (answer.status_code, answer.json()["reason"]) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret-bucket" not in answer.text
    [line] = [line for line in lines if line["event"] == "request"]
    assert line["cause"] == "writing door/… in s3://secret-bucket failed", "and no hash of an owner"


def test_it_is_ready_only_while_its_own_check_passes(start: Callable[..., RunningApp]) -> None:
    app = start()
    assert app.get("/healthz").json() == {"alive": True}
    assert app.get("/readyz").json() == {"ready": True}
    app.shelf.is_open = False
    time.sleep(2.1)  # as long as an answer is cached
    answer = app.get("/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "not_ready")
    assert answer.json()["detail"] == "unavailable: shelf"


def test_an_early_answer_reaches_a_client_that_still_sends(start: Callable[..., RunningApp]) -> None:
    app = start()
    answer = httpx.put(f"{app.url}/labels", content=bytes(BODY_BYTES), timeout=60)
    assert (answer.status_code, answer.json()["reason"]) == (409, "shelf_is_full")
    assert answer.headers["Connection"] == "close"


def test_its_lifespan_surrounds_the_time_in_which_it_serves(tmp_path: Path) -> None:
    shelf = Shelf()
    app = shelf_app(ObjectStore((tmp_path / "lake").as_uri()), shelf, HttpSettings())

    async def live() -> None:
        async with app.router.lifespan_context(app):
            assert shelf.began and not shelf.ended

    asyncio.run(live())
    assert shelf.ended


def test_it_needs_no_module_of_the_upload_api(tmp_path: Path) -> None:
    code = (
        "import sys, shelf_assets_tests.http.second_app; "
        "print(*[name for name in sys.modules if name.startswith(('shelf_assets.intake', 'shelf_assets.photos'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(repo_root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == []


def test_the_server_bounds_heads_and_stops_at_sigterm(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "shelf_assets_tests.http.second_app", (tmp_path / "lake").as_uri()],
        env=os.environ | {"PYTHONPATH": str(repo_root)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a")
            assert connection.recv(1) == b"", "the server must not wait for a head that does not end"
        answer = httpx.get(f"http://127.0.0.1:{port}/hello", timeout=60)
        assert answer.json() == {"hello": "shopper"}
        assert "Server" not in answer.headers
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
