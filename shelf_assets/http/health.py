"""Routes for operators: liveness, readiness, metrics. They need no API key; do not expose them to the public."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from shelf_assets.http.metrics import HttpMetrics
from shelf_assets.http.problem_answers import documented
from shelf_assets.http.problems import NOT_READY, RETRY_SECONDS, Problem
from shelf_assets.http.readiness import Readiness

_EXAMPLE = 'shelf_http_requests_total{method="GET",route="/healthz",status="200"} 1.0\n'


class Alive(BaseModel):
    alive: Literal[True] = True


class Ready(BaseModel):
    ready: Literal[True] = True


def health_router(readiness: Readiness, http_metrics: HttpMetrics) -> APIRouter:
    """The routes /healthz, /readyz and /metrics of one app."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Is the process alive")
    async def healthz() -> Alive:
        return Alive()

    @router.get("/readyz", summary="Can the server take requests", responses=documented(NOT_READY))
    async def readyz() -> Ready:
        """Whether everything that the server depends on is available."""
        if unavailable := await readiness.unavailable():
            raise Problem(NOT_READY, f"unavailable: {', '.join(unavailable)}", RETRY_SECONDS)
        return Ready()

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}}},
    )
    async def metrics() -> Response:
        return Response(http_metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
