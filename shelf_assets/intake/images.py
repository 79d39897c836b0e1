"""The routes of photos that were uploaded: their state, and requests for their erasure. Other owners' photos are unknown."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path

from shelf_assets.http.auth import ACCESS_KINDS, Caller, Requires
from shelf_assets.http.problem_answers import documented
from shelf_assets.http.problems import INVALID_REQUEST, Problem
from shelf_assets.http.state import HttpStateDependency
from shelf_assets.intake.problems import UNKNOWN_IMAGE
from shelf_assets.intake.schemas import Image, ImageId, RequestedErasure, image_of
from shelf_assets.intake.upload_state import UploadStateDependency

router = APIRouter(tags=["photos"])
_PROBLEMS = documented(*ACCESS_KINDS, UNKNOWN_IMAGE, INVALID_REQUEST)


@router.get("/v1/images/{image_id}", summary="State of a photo", responses=_PROBLEMS)
async def read_image(
    image_id: Annotated[ImageId, Path()],
    caller: Annotated[Caller, Depends(Requires("read"))],
    state: UploadStateDependency,
) -> Image:
    """The state of a photo, and its label once it has one."""
    owner = state.owner_of(caller)
    found = await run_sync(state.photo_states.find, image_id, owner, limiter=state.state_threads)
    if found is None:
        raise _unknown()
    return image_of(found)


@router.delete("/v1/images/{image_id}", status_code=202, summary="Request the erasure of a photo", responses=_PROBLEMS)
async def erase_image(
    image_id: Annotated[ImageId, Path()],
    caller: Annotated[Caller, Depends(Requires("erase"))],
    http: HttpStateDependency,
    state: UploadStateDependency,
) -> RequestedErasure:
    """The request is durable when this is answered, and carried out later. Repeating it changes nothing."""
    owner = state.owner_of(caller)
    asked_at = await run_sync(
        state.photo_states.request_erasure, image_id, owner, http.now(), limiter=state.state_threads
    )
    if asked_at is None:
        raise _unknown()
    return RequestedErasure(image_id=image_id, asked_at=asked_at)


def _unknown() -> Problem:
    return Problem(UNKNOWN_IMAGE, "check the image_id, and whose key this is")
