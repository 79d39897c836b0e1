"""Kinds of problems that end a request, and those that every server has. Rooms declare further kinds beside their routes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemKind:
    """A reason code, which is part of the API, with its HTTP status and a sentence for people."""

    reason: str
    http_status: int
    sentence: str


class Problem(Exception):
    """Ends a request with a problem answer. `detail` says what was wrong with this very request."""

    def __init__(self, kind: ProblemKind, detail: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(f"{kind.reason}: {detail}")
        self.kind, self.detail, self.retry_after_seconds = kind, detail, retry_after_seconds


# Long enough for a restart of what is down, short enough that a shopper waits for it.
RETRY_SECONDS = 5

HUNG_UP = ProblemKind("hung_up", 400, "The client disconnected before the end of the request.")
REFUSED_REQUEST = ProblemKind("refused_request", 400, "The request is refused.")
NO_KEY = ProblemKind("no_key", 401, "The request has no valid API key.")
MISSING_SCOPE = ProblemKind("missing_scope", 403, "The API key lacks the scope for this request.")
NOT_FOUND = ProblemKind("not_found", 404, "There is no resource at this address.")
METHOD_NOT_ALLOWED = ProblemKind("method_not_allowed", 405, "The resource does not support this method.")
INVALID_REQUEST = ProblemKind("invalid_request", 422, "A part of the request is invalid.")
OVER_QUOTA = ProblemKind("over_quota", 429, "A rate limit of this key or address is exceeded.")
INTERNAL = ProblemKind("internal", 500, "An unexpected error occurred; it is logged.")
STORE_UNAVAILABLE = ProblemKind("store_unavailable", 503, "The store is unavailable; nothing was stored.")
QUOTAS_UNAVAILABLE = ProblemKind("quotas_unavailable", 503, "Rate limiting is unavailable; nothing was stored.")
NOT_READY = ProblemKind("not_ready", 503, "The server is not ready.")
