"""Authentication and authorization of a request: its API key, the scope of the key, and the count against its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from shelf_assets.http.api_key import ApiKey
from shelf_assets.http.problems import (
    MISSING_SCOPE,
    NO_KEY,
    OVER_QUOTA,
    QUOTAS_UNAVAILABLE,
    STORE_UNAVAILABLE,
    Problem,
)
from shelf_assets.http.request_context import request_context_of
from shelf_assets.http.scopes import Scope
from shelf_assets.http.state import HttpStateDependency

_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="A token of `shelf keys create`.")
_HEADER = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    scheme_name="header",
    description="The same token, for clients whose Authorization header is in use.",
)
# The problems of a route that requires a scope, for its documentation.
ACCESS_KINDS = (NO_KEY, MISSING_SCOPE, OVER_QUOTA, STORE_UNAVAILABLE, QUOTAS_UNAVAILABLE)


@dataclass(frozen=True)
class Caller:
    """The sender of a request, by its key and address."""

    key: ApiKey
    address: str


class Requires:
    """A dependency of a route: the caller, if its key has the scope. Counts the request.

    Raises Problem, RateLimitExceeded, StoreUnavailable and RateLimitsUnavailable.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope = scope

    async def __call__(
        self,
        request: Request,
        state: HttpStateDependency,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        header: Annotated[str | None, Security(_HEADER)],
    ) -> Caller:
        address = request.client.host if request.client else "unknown"
        token = bearer.credentials if bearer else header
        key = (state.keys.find_cached(token) or await run_in_threadpool(state.keys.find, token)) if token else None
        if key is None:
            # Counted, so that guessing is slow.
            await state.rate_limits.consume(None, address, requests=1)
            raise Problem(NO_KEY, 'send "Authorization: Bearer TOKEN"; `shelf keys create` makes tokens')
        request_context_of(request).key_id = key.key_id
        await state.rate_limits.consume(key, address, requests=1)
        if self._scope not in key.scopes:
            raise Problem(MISSING_SCOPE, f"it lacks the scope {self._scope}")
        return Caller(key, address)
