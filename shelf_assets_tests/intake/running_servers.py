"""The running upload API: `shelf serve intake` as a process on loopback, over a lake of the test. No test here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from shelf_assets.http.keys import Keys
from shelf_assets.lake.lake import Lake
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.servers import S3Server

START_SECONDS = 120.0
# Generous, because test machines are shared.
ANSWER_SECONDS = 60.0
OWNER_HASH_KEY = "0123456789abcdef0123456789abcdef"
SCOPES = ("upload", "read", "erase")


@dataclass
class Place:
    """The lake of a server: the server's environment, and the lake for the test to read."""

    lake: Lake
    environment: dict[str, str]


def on_disk(folder: Path) -> Place:
    url = (folder / "lake").as_uri()
    return Place(Lake(url), {"SHELF_LAKE_URL": url, "SHELF_HOME": str(folder / "home")})


def on_s3(server: S3Server, prefix: str, folder: Path, endpoint_url: str | None = None) -> Place:
    """A lake under a prefix of the bucket. `endpoint_url` is the server's endpoint if it differs from the tests'."""
    url = f"s3://{server.bucket}/{prefix}"
    options = {
        "access_key_id": server.access_key_id,
        "secret_access_key": server.secret_access_key,
        "region": server.region,
        "endpoint": server.endpoint_url,
        "allow_http": "true",
    }
    environment = server.environment() | {"SHELF_LAKE_URL": url, "SHELF_HOME": str(folder / "home")}
    environment |= {
        "AWS_ENDPOINT_URL": endpoint_url or server.endpoint_url,
        "SHELF_INTAKE_OWNER_HASH_KEY": OWNER_HASH_KEY,
    }
    return Place(Lake(url, options), environment)


@dataclass
class RunningApi:
    """A running server of the upload API."""

    url: str
    process: subprocess.Popen[bytes]
    place: Place
    folder: Path

    @property
    def lake(self) -> Lake:
        return self.place.lake

    def token(self, owner: str = "acme", scopes: tuple[str, ...] = SCOPES, **limits: str) -> str:
        return Keys(self.lake.objects).create(owner, scopes, datetime.now(UTC), **limits)[1]

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """A client of one key."""
        all_headers = ({"Authorization": f"Bearer {token}"} if token else {}) | headers
        return httpx.Client(base_url=self.url, headers=all_headers, timeout=ANSWER_SECONDS)

    @property
    def log_text(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_text.splitlines()]

    @property
    def processes(self) -> list[psutil.Process]:
        """The server and its decoders."""
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    @property
    def photo_keys(self) -> list[str]:
        return sorted(stored.key for stored in self.lake.objects.list("images/"))

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(by)
        self.process.wait(ANSWER_SECONDS)


@contextmanager
def running(place: Place, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningApi]:
    """A server that is ready; it is stopped at the end if it still runs."""
    api = start(place, folder, settings or {})
    try:
        wait_until_ready(api)
        yield api
    finally:
        if api.process.poll() is None:
            api.process.terminate()
        try:
            api.process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            api.process.kill()
            api.process.wait()


def start(place: Place, folder: Path, settings: Mapping[str, str]) -> RunningApi:
    """A server on a free port, which may not be ready yet."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHELF_", "AWS_"))}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "shelf_assets.cli.app", "serve", "intake", "--port", "0"],
            cwd=repo_root,
            env=kept | {"PYTHONUNBUFFERED": "1"} | place.environment | dict(settings),
            stdout=out,
            stderr=err,
        )
    return RunningApi(_url(process, folder), process, place, folder)


def _url(process: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if match := re.search(r"http://127\.0\.0\.1:\d+", (folder / "stdout").read_text()):
            return match[0]
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"the server did not start:\n{(folder / 'stderr').read_text()[-3000:]}")


def wait_until_ready(api: RunningApi) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and api.process.poll() is None:
        try:
            if httpx.get(f"{api.url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server is not ready:\n{api.log_text[-3000:]}")
