"""For those who run the door: is it alive, can it take photos, what has it counted. No key is asked; keep it from strangers."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from shelf_assets.http.problems import RETRY_SECONDS, Problem, documented
from shelf_assets.intake.app_state import app_state_of

router = APIRouter(tags=["operations"])
_EXAMPLE = 'shelf_door_requests_total{method="POST",route="/v1/images",status="201"} 1.0\n'


class Alive(BaseModel):
    alive: Literal[True] = True


class Ready(BaseModel):
    ready: Literal[True] = True


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Alive:
    return Alive()


@router.get("/readyz", summary="Can it take photos", responses=documented("not_ready"))
async def readyz(request: Request) -> Ready:
    """Whether the store, the decoders and whoever counts the limits answer."""
    door = app_state_of(request)
    lacking = await door.readiness.lacking(door.sanitizer)
    if lacking:
        raise Problem("not_ready", f"what does not answer: {', '.join(lacking)}", RETRY_SECONDS)
    return Ready()


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}}},
)
async def metrics(request: Request) -> Response:
    return Response(app_state_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
