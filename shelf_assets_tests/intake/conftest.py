"""Fixtures of the upload API's tests: running servers on disk and on S3."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shelf_assets_tests.intake.running_servers import Place, RunningApi, on_disk, on_s3, running

StartApi = Callable[..., RunningApi]


def place_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    if kind == "disk":
        return on_disk(folder)
    return on_s3(request.getfixturevalue("s3_server"), uuid.uuid4().hex, folder)


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A running API for all tests of a module, on disk; on S3 if the module parametrizes it with "s3" (`indirect`)."""
    folder = tmp_path_factory.mktemp("api")
    with running(place_of(getattr(request, "param", "disk"), request, folder), folder) as started:
        yield started


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A new lake for the servers that a test starts; each test runs on disk and on S3."""
    return place_of(request.param, request, tmp_path)


@pytest.fixture
def start_api(tmp_path: Path) -> Iterator[StartApi]:
    """Starts servers with the test's settings; without a place, over a new lake on disk."""
    with ExitStack() as apis:

        def started(settings: Mapping[str, str] | None = None, place: Place | None = None, **_: Any) -> RunningApi:
            folder = tmp_path / f"api-{uuid.uuid4().hex[:8]}"
            return apis.enter_context(running(place or on_disk(tmp_path), folder, settings))

        yield started
