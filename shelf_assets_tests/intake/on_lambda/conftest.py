"""A container of the function for each test, as Lambda starts one. No test of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shelf_assets.intake import lambda_function as serverless
from shelf_assets_tests.conftest import LakeUnderTest


@pytest.fixture(autouse=True)
def _a_fresh_container(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHELF_INTAKE_OWNER_HASH_KEY", "0123456789abcdef")
    serverless.door.cache_clear(), serverless.http_door.cache_clear()
    yield
    if serverless.door.cache_info().currsize:
        serverless.door().loop.close()
    serverless.door.cache_clear(), serverless.http_door.cache_clear()


@pytest.fixture
def spaced_lake(s3_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake whose keys no URL takes as they are."""
    url = f"{s3_lake.url}/my lake+é"
    monkeypatch.setenv("SHELF_LAKE_URL", url)
    return url
