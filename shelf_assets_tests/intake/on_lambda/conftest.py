"""Fixtures of the Lambda tests: every test runs in a new container of the function."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shelf_assets.intake import lambda_function
from shelf_assets.settings import Settings
from shelf_assets_tests.conftest import LakeUnderTest

Deploy = Callable[..., None]


@pytest.fixture
def deploy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    """A function that starts a new container with other settings."""
    current = settings.replace(intake__owner_hash_key="0123456789abcdef")
    monkeypatch.setattr(lambda_function, "load_settings", lambda: current)

    def begin(**changed: object) -> None:
        nonlocal current
        _end_container()
        current = current.replace(**changed)

    begin()
    yield begin
    _end_container()


def _end_container() -> None:
    if lambda_function.container_state.cache_info().currsize:
        lambda_function.container_state().loop.close()
    lambda_function.container_state.cache_clear(), lambda_function.http_adapter.cache_clear()


@pytest.fixture(autouse=True)
def _a_fresh_container(deploy: Deploy) -> None:
    """A new container also for tests that change no setting."""


@pytest.fixture
def s3_lake(s3_lake: LakeUnderTest, deploy: Deploy) -> LakeUnderTest:
    """The lake that the function serves."""
    deploy(lake=s3_lake.settings.lake)
    return s3_lake


@pytest.fixture
def spaced_lake(s3_lake: LakeUnderTest, deploy: Deploy) -> str:
    """A lake whose keys must be URL-encoded."""
    url = f"{s3_lake.url}/my lake+é"
    deploy(lake__url=url)
    return url
