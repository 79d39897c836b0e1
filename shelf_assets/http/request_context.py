"""Per-request context for logs and metrics; contains no personal data."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import Scope

# Keys below `door/` contain hashes of owners.
_KEY_OF_AN_OWNER = re.compile(r"\bdoor/\S+")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class RequestContext:
    """`key_id` names the API key, not its owner; `reason` and `cause` say why a request failed, to senders and operators."""

    request_id: str
    reason: str | None = None
    key_id: str | None = None
    body_bytes: int = 0
    cause: str | None = None

    def note_cause(self, error: Exception) -> None:
        """Keep the message of an error that operators must act on."""
        self.cause = _KEY_OF_AN_OWNER.sub("door/…", str(error))


def begin_request_context(scope: Scope) -> RequestContext:
    """Attach a context to a new request. Keeps the client's request id if it is short and plain, else makes one."""
    request_id = HTTPConnection(scope).headers.get("x-request-id", "")
    context = RequestContext(request_id if _REQUEST_ID.fullmatch(request_id) else secrets.token_hex(8))
    scope.setdefault("state", {})["request_context"] = context
    return context


def request_context_of(request: HTTPConnection) -> RequestContext:
    context: RequestContext = request.state.request_context
    return context
