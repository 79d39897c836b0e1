"""Shared by the Lambda tests: every test runs in a fresh container of the function."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shelf_assets.intake import lambda_function
from shelf_assets_tests.conftest import LakeUnderTest


@pytest.fixture(autouse=True)
def _a_fresh_container(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHELF_INTAKE_OWNER_HASH_KEY", "0123456789abcdef")
    lambda_function.container_state.cache_clear(), lambda_function.http_adapter.cache_clear()
    yield
    if lambda_function.container_state.cache_info().currsize:
        lambda_function.container_state().loop.close()
    lambda_function.container_state.cache_clear(), lambda_function.http_adapter.cache_clear()


@pytest.fixture
def s3_lake(s3_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """The lake, named by the environment, from which the function reads its settings."""
    for name, value in s3_lake.settings.environment().items():
        monkeypatch.setenv(name, value)
    return s3_lake


@pytest.fixture
def spaced_lake(s3_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake whose keys must be URL-encoded."""
    url = f"{s3_lake.url}/my lake+é"
    monkeypatch.setenv("SHELF_LAKE_URL", url)
    return url
