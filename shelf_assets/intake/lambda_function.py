"""The upload API on AWS Lambda: `handler` passes API Gateway's requests to the HTTP app and the bucket's events to `incoming`.

Lambda runs one event at a time in each container and replaces a container that dies, so photos are decoded in this process.
Settings are read with a container's first event. `serverless/` holds the deployment and the permissions.
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
class ContainerState:
    """State that a container keeps between events. `loop` serves all of them, because connections belong to one loop."""

    settings: Settings
    sanitizer: InProcessSanitizer
    uploads: UploadStore
    loop: asyncio.AbstractEventLoop


def handler(event: Event, context: Any) -> dict[str, Any] | None:
    """Serve one event; returns the response to an HTTP request, and None for the bucket's events.

    Raises an ExceptionGroup if uploads could not be validated, after all others were; Lambda then sends the event again.
    Raises ValueError for events of other services.
    """
    # Direct S3 events only: uploads in an S3 event that another service has wrapped must not be skipped silently.
    if all(record.get("eventSource") == "aws:s3" for record in event.get("Records", [{}])):
        _validate_uploads(event["Records"], str(getattr(context, "aws_request_id", "")))
        return None
    if event.get("Event") == "s3:TestEvent":  # S3 sends it when notifications are configured
        return None
    if "requestContext" not in event:
        raise ValueError(
            "the event is neither of S3 nor of API Gateway: this function does not serve other or wrapped events"
        )
    asyncio.set_event_loop(container_state().loop)
    return http_adapter()(dict(event), context)


@cache
def container_state() -> ContainerState:
    """Make the container's state. Raises SettingsError and StoreUnavailable."""
    settings = load_settings()
    if settings.photos.max_adult_score is not None:
        try:
            require_moderation()
        except ModerationMissing as missing:
            raise SettingsError(str(missing)) from None
    sanitizer = InProcessSanitizer(sanitizer_options(settings.photos))
    return ContainerState(settings, sanitizer, UploadStore(open_object_store(settings.lake)), asyncio.new_event_loop())


@cache
def http_adapter() -> Mangum:
    """The HTTP app behind Mangum. It is made with the first request, so that uploads are validated without its imports."""
    from mangum import Mangum

    from shelf_assets.intake.app import build_app

    return Mangum(
        build_app(container_state().settings, sanitizer=container_state().sanitizer),
        # The app starts and stops with every request; that costs only the sanitizer's registration and Redis connections.
        lifespan="on",
        # All content types of responses. Others would be sent as base64, which a REST API may pass on undecoded.
        text_mime_types=["application/json", "application/problem+json", "text/"],
    )


def _validate_uploads(records: list[Event], request_id: str) -> None:
    failed: list[Exception] = []
    for record in records:
        log = request_log().bind(request_id=request_id, event_name=record.get("eventName"))
        try:
            key = uploaded_key(record, container_state().settings.lake.url)
            outcome = Outcome("ignored") if key is None else container_state().loop.run_until_complete(_validate(key))
        except Exception as error:  # noqa: BLE001 - raised below, after the other uploads have been validated
            log.error("upload not validated", error=type(error).__name__, detail=str(error))
            failed.append(error)
        else:
            log.info("upload validated", ending=outcome.ending, image_id=outcome.image_id, reason=outcome.reason)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(records)} uploads were not validated", failed)


async def _validate(key: str) -> Outcome:
    state = container_state()
    return await validate_incoming(state.uploads, state.sanitizer, key, state.settings.photos.max_bytes)


def uploaded_key(record: Event, lake_url: str) -> str | None:
    """Key of a created object, relative to the lake; None for other records, such as those of other buckets."""
    lake = urlsplit(lake_url)
    s3 = record.get("s3", {})
    is_created = str(record.get("eventName", "")).removeprefix("s3:").startswith("ObjectCreated:")
    if not is_created or s3.get("bucket", {}).get("name") != lake.netloc:
        return None
    key = unquote_plus(s3.get("object", {}).get("key", ""))
    prefix = f"{lake.path.strip('/')}/".removeprefix("/")
    return key.removeprefix(prefix) if key.startswith(prefix) else None
