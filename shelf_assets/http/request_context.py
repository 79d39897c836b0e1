"""What is noted of one request while it is served, for its log line and its counters: nothing about who sends it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import Scope

from shelf_assets.http.rate_limits import RateLimitsUnavailable
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.photos.decoder_pool import DecodersUnavailable

_OF_AN_OWNER = re.compile(r"\bdoor/\S+")
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class RequestContext:
    """`key_id` names an API key, not its owner; `cause` says what of the door's own surroundings failed."""

    request_id: str
    reason: str | None = None
    key_id: str | None = None
    body_bytes: int = 0
    cause: str | None = None

    def note_cause(self, error: Exception) -> None:
        """Keep what those who run the door need to mend it; of errors that are the sender's, nothing."""
        if isinstance(error, StoreUnavailable | RateLimitsUnavailable | DecodersUnavailable):
            self.cause = _OF_AN_OWNER.sub("door/…", str(error))


def begin_request_context(scope: Scope) -> RequestContext:
    """The request_context of a request that begins; a request id that is short and plain is honoured, else one is made."""
    asked = HTTPConnection(scope).headers.get("x-request-id", "")
    request_context = RequestContext(asked if _PLAIN.fullmatch(asked) else secrets.token_hex(8))
    scope.setdefault("state", {})["request_context"] = request_context
    return request_context


def request_context_of(request: HTTPConnection) -> RequestContext:
    request_context: RequestContext = request.state.request_context
    return request_context
