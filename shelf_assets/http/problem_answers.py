"""Problem answers: one body for every error (RFC 9457), for programs and people. The kinds belong in `problems`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shelf_assets.http.problems import (
    HUNG_UP,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OVER_QUOTA,
    QUOTAS_UNAVAILABLE,
    REFUSED_REQUEST,
    RETRY_SECONDS,
    STORE_UNAVAILABLE,
    Problem,
    ProblemKind,
)
from shelf_assets.http.rate_limits import RateLimitExceeded, RateLimitsUnavailable
from shelf_assets.http.request_context import request_context_of
from shelf_assets.lake.errors import StoreUnavailable

MEDIA_TYPE = "application/problem+json"
_EXAMPLE_REQUEST_ID = "5b0b7ad0c1b24f0a"

# By exception class: the problem that an error of the class is to the client. It shows nothing of the lake or the sender.
ErrorProblems = Mapping[type[Exception], Callable[[Any], Problem]]


class ProblemBody(BaseModel):
    """Why a request failed. `reason` is stable and for programs; the sentences are for people and may change."""

    type: str = Field(description="Name of the kind of problem, a URN.", examples=["urn:shelf:too_large"])
    title: str = Field(description="The kind of problem in a sentence.", examples=["More bytes than a photo may have."])
    status: int = Field(description="The HTTP status again.", examples=[413])
    reason: str = Field(description="Reason code.", examples=["too_large"])
    detail: str = Field(description="What was wrong with this very request.", examples=["30,000,000 bytes"])
    request_id: str = Field(description="Quote it when you ask for help.", examples=[_EXAMPLE_REQUEST_ID])


def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that ends in a problem."""
    context = request_context_of(request)
    context.reason = problem.kind.reason
    all_headers = dict(headers or {})
    if problem.retry_after_seconds is not None:
        all_headers["Retry-After"] = str(problem.retry_after_seconds)
    if problem.kind.http_status == 401:
        all_headers["WWW-Authenticate"] = "Bearer"
    body = _body(problem.kind, problem.detail, context.request_id)
    return JSONResponse(body.model_dump(), problem.kind.http_status, all_headers, MEDIA_TYPE)


def handle_problems(app: FastAPI, errors: ErrorProblems) -> None:
    """Answer the errors of the framework, of this room and of `errors` as problems. The access log answers all others."""
    for kind, problem_of in (_ERRORS | dict(errors)).items():
        app.add_exception_handler(kind, _handler(problem_of))


def documented(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """The problem answers of a route for OpenAPI: by status, each reason with its example."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        new: dict[str, Any] = {
            "description": HTTPStatus(kind.http_status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": {}}},
        }
        if kind.http_status in (429, 503):
            new["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
        response = responses.setdefault(kind.http_status, new)
        example = _body(kind, "what was wrong with this very request", _EXAMPLE_REQUEST_ID).model_dump()
        response["content"][MEDIA_TYPE]["examples"][kind.reason] = {"summary": kind.sentence, "value": example}
    return responses


def _body(kind: ProblemKind, detail: str, request_id: str) -> ProblemBody:
    return ProblemBody(
        type=f"urn:shelf:{kind.reason}",
        title=kind.sentence,
        status=kind.http_status,
        reason=kind.reason,
        detail=detail,
        request_id=request_id,
    )


def _handler(problem_of: Callable[[Any], Problem]) -> Callable[[Request, Any], Any]:
    async def on_error(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        if problem is not error and problem.kind.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            request_context_of(request).note_cause(error)
        return answer(request, problem, error.headers if isinstance(error, HTTPException) else None)

    return on_error


def _of_invalid_request(error: RequestValidationError) -> Problem:
    # Without the value, which may be anything.
    places = (f"{' '.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return Problem(INVALID_REQUEST, "; ".join(places))


def _of_framework(error: HTTPException) -> Problem:
    kinds = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}
    return Problem(kinds.get(error.status_code, REFUSED_REQUEST), HTTPStatus(error.status_code).phrase)


def unavailable(kind: ProblemKind) -> Callable[[Exception], Problem]:
    """The problem of a dependency that does not answer: the client may repeat the request."""
    return lambda _: Problem(kind, "send the same request again", RETRY_SECONDS)


_ERRORS: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda problem: problem,
    RateLimitExceeded: lambda error: Problem(OVER_QUOTA, str(error), error.retry_after_seconds),
    StoreUnavailable: unavailable(STORE_UNAVAILABLE),
    RateLimitsUnavailable: unavailable(QUOTAS_UNAVAILABLE),
    ClientDisconnect: lambda _: Problem(HUNG_UP, "the connection ended before the request did"),
    RequestValidationError: _of_invalid_request,
    HTTPException: _of_framework,
}
