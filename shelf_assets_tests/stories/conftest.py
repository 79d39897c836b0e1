"""A shop for every story, and processes to run it in. dbt's manifest is made once: parsing costs more than most stories."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelf_assets.defs.resources.dbt import manifest_path
from shelf_assets.settings import Settings
from shelf_assets_tests.stories.processes import Runs
from shelf_assets_tests.stories.support import Platform, open_shop


@pytest.fixture(scope="session")
def parsed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder that holds nothing but dbt's manifest."""
    home = tmp_path_factory.mktemp("parsed")
    manifest_path(Settings(home=home))
    return home


@pytest.fixture
def shop(parsed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """An empty lake in a folder, run by stand-in models; shards, batches and commits of two photos."""
    home = tmp_path / "home"
    shutil.copytree(parsed_home, home)
    for name, value in {"HOME": str(home), "SHARD_IMAGES": "2", "COMMIT_IMAGES": "2", "BATCH_SIZE": "2"}.items():
        monkeypatch.setenv(f"SHELF_{name}", value)
    opened = open_shop()
    yield opened
    opened.instance.dispose()


@pytest.fixture(scope="session")
def runs(parsed_home: Path) -> Runs:
    """Runs in processes of their own."""
    return Runs()
