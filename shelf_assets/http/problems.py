"""What went wrong with a request, for programs and people: one body for every error (RFC 9457). Who finds it out is elsewhere.

What is refused of a photo has its reason, status and sentence in `intake.rules`; here are those of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shelf_assets.http.rate_limits import RateLimitExceeded, RateLimitsUnavailable
from shelf_assets.http.request_context import request_context_of
from shelf_assets.intake.presigned import NeedsS3
from shelf_assets.intake.upload_store import Erased, KeyReused
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.photos.decoder_pool import DecodersUnavailable
from shelf_assets.photos.rules import BY_REASON

MEDIA_TYPE = "application/problem+json"
# Long enough for a restart of what is down, short enough that a shopper waits for it.
RETRY_SECONDS = 5


@dataclass(frozen=True)
class Kind:
    http_status: int
    sentence: str


KINDS: dict[str, Kind] = {
    "bad_form": Kind(400, "The form cannot be read."),
    "hung_up": Kind(400, "The sender hung up before the photo's end."),
    "no_key": Kind(401, "No API key came with the request, or none that is known."),
    "missing_scope": Kind(403, "This key may not do that."),
    "unknown_image": Kind(404, "There is no such image of this owner."),
    "not_found": Kind(404, "There is nothing at this address."),
    "method_not_allowed": Kind(405, "This address does not take that method."),
    "too_slow_to_arrive": Kind(408, "The photo did not arrive in time."),
    "erased": Kind(410, "The erasure of this photo was asked for; it is not taken again."),
    "no_photo": Kind(422, "The form has no photo."),
    "several_photos": Kind(422, "The form has more than one file; a request takes one photo."),
    "invalid_request": Kind(422, "A part of the request is not as it must be."),
    "idempotency_key_reused": Kind(422, "The Idempotency-Key was used for another photo."),
    "over_quota": Kind(429, "A limit of this key or address is spent."),
    "refused_request": Kind(400, "The request is refused."),
    "internal": Kind(500, "The door broke on this request; it is logged."),
    "needs_s3": Kind(501, "Uploads by a form need a lake on S3."),
    "busy": Kind(503, "All places are taken; try again soon."),
    "store_unavailable": Kind(503, "The store does not answer; nothing was kept."),
    "quotas_unavailable": Kind(503, "Nobody counts the limits right now; nothing was kept."),
    "decoders_unavailable": Kind(503, "No decoder answers; nothing was kept."),
    "not_ready": Kind(503, "The door is not ready."),
} | {reason: Kind(rule.http_status, rule.sentence) for reason, rule in BY_REASON.items()}


class ProblemBody(BaseModel):
    """Why a request was not served. `reason` is for programs and stays; the sentences are for people and may change."""

    type: str = Field(description="Name of the kind of problem, a URN.", examples=["urn:shelf:too_large"])
    title: str = Field(description="The kind of problem in a sentence.", examples=["More bytes than a photo may have."])
    status: int = Field(description="The HTTP status again.", examples=[413])
    reason: str = Field(description="Reason code.", examples=["too_large"])
    detail: str = Field(description="What was wrong with this very request.", examples=["30,000,000 bytes"])
    request_id: str = Field(description="Tell it when you ask for help.", examples=["5b0b7ad0c1b24f0a"])


class Problem(Exception):
    """A request ends here, for a reason of KINDS."""

    def __init__(self, reason: str, detail: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.retry_after_seconds = reason, detail, retry_after_seconds


def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that ends in a problem."""
    request_context = request_context_of(request)
    request_context.reason = problem.reason
    kind = KINDS[problem.reason]
    told = dict(headers or {})
    if problem.retry_after_seconds is not None:
        told["Retry-After"] = str(problem.retry_after_seconds)
    if kind.http_status == 401:
        told["WWW-Authenticate"] = "Bearer"
    body = ProblemBody(
        type=f"urn:shelf:{problem.reason}",
        title=kind.sentence,
        status=kind.http_status,
        reason=problem.reason,
        detail=problem.detail,
        request_id=request_context.request_id,
    )
    return JSONResponse(body.model_dump(), kind.http_status, told, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """What an error of ours, or of the framework, is to who asked. Nothing of the lake's place or the sender is in it."""
    match error:
        case Problem():
            return error
        case RateLimitExceeded():
            return Problem("over_quota", str(error), error.retry_after_seconds)
        case StoreUnavailable():
            return Problem("store_unavailable", "send the same bytes again", RETRY_SECONDS)
        case RateLimitsUnavailable():
            return Problem("quotas_unavailable", "send the same bytes again", RETRY_SECONDS)
        case DecodersUnavailable():
            return Problem("decoders_unavailable", "send the same bytes again", RETRY_SECONDS)
        case KeyReused():
            return Problem("idempotency_key_reused", "send this photo with a key of its own, or without one")
        case Erased():
            return Problem("erased", "the same bytes were sent before, and their owner asked for their erasure")
        case NeedsS3():
            return Problem("needs_s3", str(error))
        case ClientDisconnect():
            return Problem("hung_up", "the connection ended before the request did")
        case RequestValidationError():
            return Problem("invalid_request", "; ".join(_where_and_why(each) for each in error.errors()))
        case HTTPException():
            return _of_the_framework(error)
    return Problem("internal", "not the request's fault; it may be sent again")


def _where_and_why(error: Any) -> str:
    # Not what was sent: it may be anything.
    return f"{' '.join(map(str, error['loc']))}: {error['msg']}"


def _of_the_framework(error: HTTPException) -> Problem:
    reasons = {404: "not_found", 405: "method_not_allowed"}
    reason = reasons.get(error.status_code, "refused_request")
    return Problem(reason, HTTPStatus(error.status_code).phrase)


def handle_problems(app: FastAPI) -> None:
    """Have every error answered by `answer`; what nobody foresaw is answered by the middleware around the app."""

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        headers = error.headers if isinstance(error, HTTPException) else None
        request_context_of(request).note_cause(error)
        return answer(request, problem_of(error), headers)

    kinds: tuple[type[Exception], ...] = (
        *(
            Problem,
            RateLimitExceeded,
            StoreUnavailable,
            RateLimitsUnavailable,
            DecodersUnavailable,
            KeyReused,
            Erased,
            NeedsS3,
        ),
        *(ClientDisconnect, RequestValidationError, HTTPException),
    )
    for kind in kinds:
        app.add_exception_handler(kind, on_error)


def documented(*reasons: str) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route for OpenAPI, by status, each reason with its example."""
    responses: dict[int | str, dict[str, Any]] = {}
    for reason in reasons:
        kind = KINDS[reason]
        new: dict[str, Any] = {
            "description": HTTPStatus(kind.http_status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": {}}},
        }
        if kind.http_status in (429, 503):
            new["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
        response = responses.setdefault(kind.http_status, new)
        response["content"][MEDIA_TYPE]["examples"][reason] = {
            "summary": kind.sentence,
            "value": {
                "type": f"urn:shelf:{reason}",
                "title": kind.sentence,
                "status": kind.http_status,
                "reason": reason,
                "detail": "what was wrong with this very request",
                "request_id": "5b0b7ad0c1b24f0a",
            },
        }
    return responses
