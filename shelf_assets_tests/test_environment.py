"""What the tests do to the environment of each other, and to the lake of the person who runs them."""

from __future__ import annotations

import os

import pytest

from shelf_assets.settings import Settings
from shelf_assets_tests.conftest import repo_root


@pytest.fixture(scope="module")
def settings_of_a_longer_fixture() -> Settings:
    """Made before any fixture of its first test is."""
    return Settings()


def test_that_leaves_a_setting_behind() -> None:
    """As whatever builds the graph does: dbt's process is told by the environment where the lake is."""
    os.environ["SHELF_LAKE"] = (repo_root / ".shelf" / "lake").as_uri()


def test_a_longer_fixture_writes_into_the_lake_that_another_test_named(settings_of_a_longer_fixture: Settings) -> None:
    assert not settings_of_a_longer_fixture.lake
    assert not settings_of_a_longer_fixture.home.is_relative_to(repo_root)
