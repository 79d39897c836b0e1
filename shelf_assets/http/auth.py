"""Who asks, and may they: the key of a request, its scope, and its count. What a key is belongs in `intake.keys`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from shelf_assets.http.keys import ApiKey, Scope
from shelf_assets.http.problems import Problem
from shelf_assets.http.request_context import request_context_of
from shelf_assets.intake.app_state import app_state_of
from shelf_assets.intake.upload_store import owner_hash

_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="A token of `shelf keys create`.")
_HEADER = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    scheme_name="header",
    description="The same token, where Authorization is taken.",
)
ACCESS_REASONS = ("no_key", "missing_scope", "over_quota", "store_unavailable", "quotas_unavailable")


@dataclass(frozen=True)
class Caller:
    """Who asks. `owner` is the keyed hash of the owner's name, as the lake knows it."""

    key: ApiKey
    owner: str
    address: str


class Requires:
    """A dependency: the caller, if its key has the scope.

    Raises Problem, RateLimitExceeded, StoreUnavailable and RateLimitsUnavailable.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope = scope

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        header: Annotated[str | None, Security(_HEADER)],
    ) -> Caller:
        door = app_state_of(request)
        address = request.client.host if request.client else "unknown"
        token = bearer.credentials if bearer else header
        key = (door.keys.remembered(token) or await run_in_threadpool(door.keys.find, token)) if token else None
        if key is None:
            # Counted, so that guessing is slow.
            await door.quotas.spend(None, address, requests=1)
            raise Problem("no_key", 'send "Authorization: Bearer TOKEN"; `shelf keys create` makes tokens')
        request_context_of(request).key_id = key.key_id
        await door.quotas.spend(key, address, requests=1)
        if self._scope not in key.scopes:
            raise Problem("missing_scope", f"it lacks the scope {self._scope}")
        return Caller(key, owner_hash(key.owner, door.owner_key), address)
