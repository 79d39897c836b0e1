"""Fixtures of the stories: a platform, and processes to run it in. dbt's manifest is parsed once, because parsing is slow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelf_assets.build import build_dbt_project
from shelf_assets.settings import Settings, load_settings
from shelf_assets_tests.stories.processes import Runs
from shelf_assets_tests.stories.support import Platform


@pytest.fixture(scope="session")
def parsed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder that contains only dbt's manifest."""
    home = tmp_path_factory.mktemp("parsed")
    build_dbt_project(load_settings({}, home=home)).manifest_path()
    return home


@pytest.fixture
def story_settings(parsed_home: Path, tmp_path: Path) -> Settings:
    """An empty lake in a folder; shards, batches and commits of two photos."""
    home = tmp_path / "home"
    shutil.copytree(parsed_home, home)
    return load_settings({}, home=home, vision__shard_images=2, pipeline__commit_images=2, models__batch_size=2)


@pytest.fixture
def shop(story_settings: Settings) -> Iterator[Platform]:
    """A platform on an empty lake, run by fake models."""
    opened = Platform(story_settings)
    yield opened
    opened.instance.dispose()


@pytest.fixture(scope="session")
def runs(parsed_home: Path) -> Runs:
    """Runs in processes of their own."""
    return Runs()
