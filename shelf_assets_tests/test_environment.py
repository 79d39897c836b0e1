"""What the tests do to the environment of each other, and to the lake of the person who runs them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shelf_assets.settings import Settings
from shelf_assets_tests.conftest import repo_root

# Reading without Python's lock, as a library's own thread does, while variables come and go.
CHANGED_WHILE_READ = """
import ctypes, os, sys, threading, time
from shelf_assets_tests import steady_environ
steady_environ.install()
getenv, end = ctypes.CDLL(None).getenv, time.monotonic() + 2
def read():
    while time.monotonic() < end:
        getenv(b"POLARS_LOG_CONCURRENCY")
threads = [threading.Thread(target=read) for _ in range(4)]
[thread.start() for thread in threads]
while time.monotonic() < end:
    taken = []
    for number in range(200):
        os.environ[f"SHELF_TEST_{number}"] = "x"
        taken += [os.urandom(size) for size in range(600, 3000, 8 * 37)]
    for number in range(200):
        del os.environ[f"SHELF_TEST_{number}"]
[thread.join() for thread in threads]
os.environ["SHELF_TEST_LAST"], os.environ["SHELF_TEST_GONE"] = "é", "x"
del os.environ["SHELF_TEST_GONE"]
os.execv("/usr/bin/env", ["env"])
"""


@pytest.fixture(scope="module")
def settings_of_a_longer_fixture() -> Settings:
    """Made before any fixture of its first test is."""
    return Settings()


def test_that_leaves_a_setting_behind() -> None:
    """As whatever builds the graph does: dbt's process is told by the environment where the lake is."""
    os.environ["SHELF_LAKE_URL"] = (repo_root / ".shelf" / "lake").as_uri()


def test_a_longer_fixture_writes_into_the_lake_that_another_test_named(settings_of_a_longer_fixture: Settings) -> None:
    assert not settings_of_a_longer_fixture.lake
    assert not settings_of_a_longer_fixture.home.is_relative_to(repo_root)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the environment is changed as the system does it")
def test_a_library_that_reads_the_environment_dies_when_a_test_changes_it() -> None:
    told = subprocess.run([sys.executable, "-c", CHANGED_WHILE_READ], cwd=repo_root, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr[-2000:]
    left = [line for line in told.stdout.splitlines() if line.startswith("SHELF_TEST_")]
    assert "SHELF_TEST_LAST=é" in left and not any(line.startswith("SHELF_TEST_GONE") for line in left)
