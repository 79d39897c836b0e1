"""The route that receives a photo. The checks come in the order of their cost."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from shelf_assets.http.auth import ACCESS_KINDS, Caller, Requires
from shelf_assets.http.problem_answers import documented
from shelf_assets.http.problems import INVALID_REQUEST, Problem
from shelf_assets.http.rate_limits import RateLimitExceeded, RateLimits, RateLimitsUnavailable
from shelf_assets.http.request_context import request_context_of
from shelf_assets.http.state import HttpStateDependency
from shelf_assets.intake.photo_body import PhotoBody
from shelf_assets.intake.problems import (
    BAD_FORM,
    BUSY,
    DECODERS_UNAVAILABLE,
    ERASED,
    IDEMPOTENCY_KEY_REUSED,
    NO_PHOTO,
    PHOTO_KINDS,
    SEVERAL_PHOTOS,
    TOO_SLOW_TO_ARRIVE,
)
from shelf_assets.intake.schemas import ReceivedPhoto
from shelf_assets.intake.upload_state import UploadStateDependency
from shelf_assets.intake.upload_store import new_image_id
from shelf_assets.photos.decoder_pool import ImageSanitizer
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto

router = APIRouter(tags=["photos"])
# The other reasons are of photos that do not come by a request.
_REFUSALS = tuple(kind for reason, kind in PHOTO_KINDS.items() if reason not in ("no_owner", "unsupported_key", "gone"))
_PHOTO: dict[str, Any] = {"type": "string", "format": "binary"}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "description": "The photo's bytes; their Content-Type is ignored, except for multipart/form-data.",
    "content": {
        "image/*": {"schema": _PHOTO},
        "application/octet-stream": {"schema": _PHOTO},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": _PHOTO}, "required": ["file"]},
        },
    },
}
_LOCATION = {"Location": {"description": "Address of the photo's state.", "schema": {"type": "string"}}}


@router.post(
    "/v1/images",
    status_code=201,
    response_model=ReceivedPhoto,
    response_description="A new photo, durable in the store.",
    summary="Upload a photo",
    responses={
        200: {
            "model": ReceivedPhoto,
            "description": "The same owner sent the same bytes before: that photo's image_id.",
            "headers": _LOCATION,
        },
        201: {"headers": _LOCATION},
        **documented(
            *ACCESS_KINDS,
            *(BAD_FORM, TOO_SLOW_TO_ARRIVE, ERASED, NO_PHOTO, SEVERAL_PHOTOS, INVALID_REQUEST),
            *(IDEMPOTENCY_KEY_REUSED, BUSY, DECODERS_UNAVAILABLE),
            *_REFUSALS,
        ),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def upload_photo(
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(Requires("upload"))],
    http: HttpStateDependency,
    state: UploadStateDependency,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Any visible ASCII. An owner sends one photo under one key. Without a key, too, the same bytes are one "
            "photo.",
        ),
    ] = None,
) -> ReceivedPhoto:
    """Receive one photo, as the body or as the field `file` of a form. The answer comes when the photo is durable."""
    body = PhotoBody(request, state.max_photo_bytes, state.body_limits)
    expected_bytes = body.max_bytes if body.declared_bytes is None else min(body.declared_bytes, body.max_bytes)
    await http.rate_limits.check(caller.key, caller.address, requests=0, bytes_=max(1, expected_bytes))
    body.check_declared_size()
    owner = state.owner_of(caller)
    # Until it is stored: otherwise photos would pile up in memory before a store that hangs.
    with state.concurrency.slot(owner):
        photo = await _sanitized(request, body, state.running_sanitizer, http.rate_limits, caller)
        del body  # frees the bytes that were sent
        await _count_pixels(http.rate_limits, caller, photo.pixels)
        receipt = await run_in_threadpool(
            state.upload_store.accept, photo, owner, new_image_id(http.now()), idempotency_key
        )
    state.metrics.pixels.inc(photo.pixels)
    state.metrics.photos.labels("new" if receipt.is_new else "same").inc()
    response.headers["Location"] = f"/v1/images/{receipt.image_id}"
    response.status_code = 201 if receipt.is_new else 200
    return ReceivedPhoto(
        image_id=receipt.image_id,
        day=receipt.day,
        received_at=receipt.received_at,
        width_px=photo.width_px,
        height_px=photo.height_px,
    )


async def _sanitized(
    request: Request, body: PhotoBody, sanitizer: ImageSanitizer, rate_limits: RateLimits, caller: Caller
) -> SanitizedPhoto:
    """Read and sanitize the photo of a request. Does not keep the bytes that were sent. Raises Problem for a refused one."""
    context = request_context_of(request)
    try:
        data = await body.read()
    except BaseException:
        # The bytes that were read count whatever the error is; the answer is about that error.
        with suppress(RateLimitExceeded, RateLimitsUnavailable):
            await rate_limits.consume(caller.key, caller.address, bytes_=context.body_bytes)
        raise
    await rate_limits.consume(caller.key, caller.address, bytes_=context.body_bytes)
    result = await sanitizer.sanitize(data)
    if isinstance(result, Refusal):
        raise Problem(PHOTO_KINDS[result.reason], result.detail)
    return result


async def _count_pixels(rate_limits: RateLimits, caller: Caller, pixels: int) -> None:
    try:
        await rate_limits.consume(caller.key, caller.address, pixels=pixels)
    except RateLimitExceeded:
        # The photo was decoded all the same. With the limit exhausted, the next one is refused before it is read.
        await rate_limits.exhaust(caller.key, caller.address, pixels=pixels)
        raise
