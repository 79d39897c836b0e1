"""The Redis that replicas share their rate limits through, as a storage of `limits`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limits.storage import storage_from_string

from shelf_assets.urls import without_password

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

# Long enough for a Redis in another zone, short enough that a caller hears of a hanging Redis before giving up.
_TIMEOUT_SECONDS = 2.0
# Each is used for a round trip of under a millisecond.
_MAX_CONNECTIONS = 64
_PREFIX = "shelf"


@dataclass(frozen=True)
class RedisStorage:
    """`failures` are the exceptions of a Redis that does not answer; `masked_url` may be shown."""

    storage: Any
    pool: BlockingConnectionPool
    failures: tuple[type[Exception], ...]
    masked_url: str


def redis_storage(url: str) -> RedisStorage:
    """The storage of a URL; does not connect yet. Raises ValueError."""
    pool = _pool_of(url)
    # The pool has the URL: `limits` would quote it, password included, in its own errors.
    storage: Any = storage_from_string(
        "async+redis://",
        implementation="redispy",  # what is installed; coredis is the default
        key_prefix=_PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]
    )
    failures = (*storage.base_exceptions, OSError)
    return RedisStorage(storage, pool, failures, without_password(url.partition("?")[0]))


def _pool_of(url: str) -> BlockingConnectionPool:
    from redis.asyncio import BlockingConnectionPool

    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
        )
    except (ValueError, TypeError):
        # The original message could quote the password.
        raise ValueError(
            "SHELF_HTTP_REDIS_URL is no URL of a Redis; it is like redis://:password@host:6379/0"
        ) from None
