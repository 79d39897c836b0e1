"""Photos that came in: what became of one, and the wish to have it erased. Another owner's image is as unknown as none."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Request

from shelf_assets.http.auth import ACCESS_REASONS, Caller, Requires
from shelf_assets.http.problems import Problem, documented
from shelf_assets.intake.app_state import app_state_of
from shelf_assets.intake.schemas import AskedErasure, Image, ImageId, image_of

router = APIRouter(tags=["photos"])
_ERRORS = documented(*ACCESS_REASONS, "unknown_image", "invalid_request")


@router.get("/v1/images/{image_id}", summary="What became of a photo", responses=_ERRORS)
async def read_image(
    request: Request,
    image_id: Annotated[ImageId, Path()],
    caller: Annotated[Caller, Depends(Requires("read"))],
) -> Image:
    """Its state, and its label once it has one."""
    door = app_state_of(request)
    found = await run_sync(door.states.of, image_id, caller.owner, limiter=door.asking)
    if found is None:
        raise _unknown()
    return image_of(found)


@router.delete("/v1/images/{image_id}", status_code=202, summary="Ask for a photo's erasure", responses=_ERRORS)
async def erase_image(
    request: Request,
    image_id: Annotated[ImageId, Path()],
    caller: Annotated[Caller, Depends(Requires("erase"))],
) -> AskedErasure:
    """Recorded durably when this is answered, and carried out later. Asking again changes nothing."""
    door = app_state_of(request)
    asked_at = await run_sync(door.states.ask_erasure, image_id, caller.owner, door.now(), limiter=door.asking)
    if asked_at is None:
        raise _unknown()
    return AskedErasure(image_id=image_id, asked_at=asked_at)


def _unknown() -> Problem:
    return Problem("unknown_image", "look at the image_id, and at whose key this is")
