"""The route that hands out presigned upload forms. `incoming` validates what arrives by them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool

from shelf_assets.http.auth import ACCESS_KINDS, Caller, Requires
from shelf_assets.http.problem_answers import documented
from shelf_assets.http.problems import INVALID_REQUEST
from shelf_assets.http.state import HttpStateDependency
from shelf_assets.intake.problems import NEEDS_S3
from shelf_assets.intake.schemas import UploadForm
from shelf_assets.intake.upload_state import UploadStateDependency
from shelf_assets.intake.upload_store import new_image_id

router = APIRouter(tags=["photos"])


@router.post(
    "/v1/uploads",
    status_code=201,
    summary="Get a form to upload one photo with",
    response_description="A form for one photo, valid for some minutes.",
    responses=documented(*ACCESS_KINDS, INVALID_REQUEST, NEEDS_S3),
)
async def create_upload_form(
    caller: Annotated[Caller, Depends(Requires("upload"))], http: HttpStateDependency, state: UploadStateDependency
) -> UploadForm:
    """A presigned POST to the store itself, for photos that bypass this server.

    The photo is validated once it has arrived: GET /v1/images/{image_id} returns its state.
    """
    # The size of an upload by a form is unknown here: it counts as the largest that the form allows.
    await http.rate_limits.consume(caller.key, caller.address, bytes_=state.max_photo_bytes)
    now = http.now()
    image_id = new_image_id(now)
    form = await run_in_threadpool(state.presign, image_id, state.owner_of(caller), now)
    return UploadForm(
        image_id=image_id,
        url=form.url,
        fields=dict(form.fields),
        expires_at=form.expires_at,
        max_bytes=form.max_bytes,
    )
