"""Photos come in: POST /v1/images, and forms for uploads past the door. The order of the checks is the order of their cost."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from shelf_assets.http.auth import ACCESS_REASONS, Caller, Requires
from shelf_assets.http.problems import Problem, documented
from shelf_assets.http.rate_limits import RateLimitExceeded, RateLimitsUnavailable
from shelf_assets.http.request_context import request_context_of
from shelf_assets.intake.app_state import Door, app_state_of
from shelf_assets.intake.photo_body import Body
from shelf_assets.intake.presigned import presign
from shelf_assets.intake.schemas import ReceivedPhoto, UploadForm
from shelf_assets.intake.upload_store import new_image_id
from shelf_assets.photos.rules import RULES
from shelf_assets.photos.sanitizer import Accepted, Refused

router = APIRouter(tags=["photos"])
_OF_THE_BYTES = tuple(rule.reason for rule in RULES if rule.reason not in ("no_owner", "unsupported_key", "gone"))
_PHOTO: dict[str, Any] = {"type": "string", "format": "binary"}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "description": "The photo's bytes; what its Content-Type says of them is not believed. A form only as multipart/form-data.",
    "content": {
        "image/*": {"schema": _PHOTO},
        "application/octet-stream": {"schema": _PHOTO},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": _PHOTO}, "required": ["file"]},
        },
    },
}
_LOCATION = {"Location": {"description": "Where to ask what became of it.", "schema": {"type": "string"}}}


@router.post(
    "/v1/images",
    status_code=201,
    response_model=ReceivedPhoto,
    response_description="A new photo, durable in the store.",
    summary="Send a photo",
    responses={
        200: {
            "model": ReceivedPhoto,
            "description": "The same owner sent the same bytes before: that photo's image_id.",
            "headers": _LOCATION,
        },
        201: {"headers": _LOCATION},
        **documented(
            *ACCESS_REASONS,
            *("bad_form", "too_slow_to_arrive", "erased", "no_photo", "several_photos", "invalid_request"),
            *("idempotency_key_reused", "busy", "decoders_unavailable"),
            *_OF_THE_BYTES,
        ),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def send_photo(
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(Requires("upload"))],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Any visible ASCII. Under one key an owner sends one photo; without one, too, the same bytes are one.",
        ),
    ] = None,
) -> ReceivedPhoto:
    """Take one photo, as the body or as the field `file` of a form. The answer comes when it is durable."""
    door = app_state_of(request)
    body = Body(request, door.settings.photos.max_bytes, door.settings.http)
    asked = body.most_bytes if body.declared_bytes is None else min(body.declared_bytes, body.most_bytes)
    await door.quotas.check_room(caller.key, caller.address, requests=0, bytes_=max(1, asked))
    body.require_declared_size()
    # Until it is stored: before a store that hangs, photos would pile up in memory.
    with door.places.one(caller.owner):
        sanitized = await _sanitized(request, body, door, caller)
        del body  # its bytes, as they came
        await _count_pixels(door, caller, sanitized.pixels)
        receipt = await run_in_threadpool(
            door.receipts.take, sanitized, caller.owner, new_image_id(door.now()), idempotency_key
        )
    door.metrics.pixels.inc(sanitized.pixels)
    door.metrics.photos.labels("new" if receipt.is_new else "same").inc()
    response.headers["Location"] = f"/v1/images/{receipt.image_id}"
    response.status_code = 201 if receipt.is_new else 200
    return ReceivedPhoto(
        image_id=receipt.image_id,
        day=receipt.day,
        received_at=receipt.received_at,
        width_px=sanitized.width_px,
        height_px=sanitized.height_px,
    )


async def _sanitized(request: Request, body: Body, door: Door, caller: Caller) -> Accepted:
    """The rebuilt photo of a request; its bytes as they came are let go of here."""
    try:
        data = await body.read()
    except BaseException:
        # What was read is counted whatever came of it; the answer is about what came of it.
        with suppress(RateLimitExceeded, RateLimitsUnavailable):
            await door.quotas.spend(caller.key, caller.address, bytes_=request_context_of(request).body_bytes)
        raise
    await door.quotas.spend(caller.key, caller.address, bytes_=request_context_of(request).body_bytes)
    sanitized = await door.decoders.sanitize(data)
    if isinstance(sanitized, Refused):
        raise Problem(sanitized.reason, sanitized.detail)
    return sanitized


async def _count_pixels(door: Door, caller: Caller, pixels: int) -> None:
    try:
        await door.quotas.spend(caller.key, caller.address, pixels=pixels)
    except RateLimitExceeded:
        # It was decoded all the same: with what is left gone, the next is refused before it is read.
        await door.quotas.exhaust(caller.key, caller.address, pixels=pixels)
        raise


@router.post(
    "/v1/uploads",
    status_code=201,
    summary="Ask for a form to upload one photo with",
    response_description="A form, good for one photo and some minutes.",
    responses=documented(*ACCESS_REASONS, "invalid_request", "needs_s3"),
)
async def ask_for_form(request: Request, caller: Annotated[Caller, Depends(Requires("upload"))]) -> UploadForm:
    """A presigned POST to the store itself, for photos that no server of ours is to carry.

    The photo is judged when it is there: ask GET /v1/images/{image_id} what became of it.
    """
    door = app_state_of(request)
    # Nobody counts what comes by a form: it counts as the most that it may be.
    await door.quotas.spend(caller.key, caller.address, bytes_=door.settings.photos.max_bytes)
    now = door.now()
    image_id = new_image_id(now)
    form = await run_in_threadpool(presign, door.settings, image_id, caller.owner, now)
    return UploadForm(
        image_id=image_id,
        url=form.url,
        fields=dict(form.fields),
        expires_at=form.expires_at,
        max_bytes=form.max_bytes,
    )
