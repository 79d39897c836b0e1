"""The door as a Lambda function: `handler` takes API Gateway's requests to the HTTP door, and the bucket's events to `incoming`.

Every container of Lambda serves one event at a time, and ends without harm to others: photos are decoded right here.
Settings are read once, when a container serves its first event. How the function is made and what it may is in `serverless/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

from shelf_assets.http.logs import request_log
from shelf_assets.intake.incoming import Outcome, validate_incoming
from shelf_assets.intake.upload_store import UploadStore
from shelf_assets.lake.store_options import open_object_store
from shelf_assets.photos.decoder_pool import InProcessSanitizer, sanitizer_options
from shelf_assets.photos.moderation import ModerationMissing, require_moderation
from shelf_assets.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from mangum import Mangum

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Door:
    """What a container keeps from one event to the next. `loop` is one for all: connections belong to their loop."""

    settings: Settings
    sanitizer: InProcessSanitizer
    receipts: UploadStore
    loop: asyncio.AbstractEventLoop


def handler(event: Event, context: Any) -> dict[str, Any] | None:
    """Serve one event; the answer of an HTTP request, nothing for the bucket's events.

    Raises an ExceptionGroup of what kept uploads from being judged, after all others were: Lambda then sends the event
    again. Raises ValueError for an event of anybody else.
    """
    # Of S3 itself: what another service wraps its events in would be passed over, and the uploads with it.
    if all(record.get("eventSource") == "aws:s3" for record in event.get("Records", [{}])):
        _judge_uploads(event["Records"], str(getattr(context, "aws_request_id", "")))
        return None
    if event.get("Event") == "s3:TestEvent":  # told when a bucket learns where to send its events
        return None
    if "requestContext" not in event:
        raise ValueError(
            "an event neither of S3 nor of API Gateway: this function serves no others, nor what wraps one"
        )
    asyncio.set_event_loop(door().loop)
    return http_door()(dict(event), context)


@cache
def door() -> Door:
    """What this container serves with. Raises SettingsError and StoreUnavailable."""
    settings = load_settings()
    if settings.photos.max_adult_score is not None:
        try:
            require_moderation()
        except ModerationMissing as missing:
            raise SettingsError(str(missing)) from None
    sanitizer = InProcessSanitizer(sanitizer_options(settings.photos))
    return Door(settings, sanitizer, UploadStore(open_object_store(settings.lake)), asyncio.new_event_loop())


@cache
def http_door() -> Mangum:
    """The HTTP door's own app. Uploads are judged without it: they need not wait for its imports."""
    from mangum import Mangum

    from shelf_assets.intake.app import build_app

    return Mangum(
        build_app(door().settings, sanitizer=door().sanitizer),
        # The app begins and ends with every request, which costs it no more than the sanitizer's place and Redis' connections.
        lifespan="on",
        # All that it answers. What is not named goes out as base64, which a REST API may hand on as it is.
        text_mime_types=["application/json", "application/problem+json", "text/"],
    )


def _judge_uploads(records: list[Event], request_id: str) -> None:
    failed: list[Exception] = []
    for record in records:
        log = request_log().bind(request_id=request_id, event_name=record.get("eventName"))
        try:
            key = uploaded_key(record, door().settings.lake.url)
            outcome = Outcome("ignored") if key is None else door().loop.run_until_complete(_judged(key))
        except Exception as error:  # noqa: BLE001 - raised below, when the other uploads have been judged
            log.error("upload not judged", error=type(error).__name__, detail=str(error))
            failed.append(error)
        else:
            log.info("upload judged", ending=outcome.ending, image_id=outcome.image_id, reason=outcome.reason)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(records)} uploads were not judged", failed)


async def _judged(key: str) -> Outcome:
    here = door()
    return await validate_incoming(here.receipts, here.sanitizer, key, here.settings.photos.max_bytes)


def uploaded_key(record: Event, lake_url: str) -> str | None:
    """The key that the lake knows a created object by; None for all other records, such as other buckets'."""
    lake = urlsplit(lake_url)
    s3 = record.get("s3", {})
    created = str(record.get("eventName", "")).removeprefix("s3:").startswith("ObjectCreated:")
    if not created or s3.get("bucket", {}).get("name") != lake.netloc:
        return None
    key = unquote_plus(s3.get("object", {}).get("key", ""))
    prefix = f"{lake.path.strip('/')}/".removeprefix("/")
    return key.removeprefix(prefix) if key.startswith(prefix) else None
