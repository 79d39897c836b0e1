"""Validation of presigned uploads: each object below `incoming/` becomes a photo or goes to quarantine.

Events may be repeated, late or concurrent, so every step is idempotent, and the upload is deleted last, when its result is
durable. An upload form makes one photo: later uploads by the same form are deleted unread, unless all earlier ones were
refused. `door/same` holds the image_id of an earlier photo with the same bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from shelf_assets.http.logs import request_log
from shelf_assets.intake.upload_store import INCOMING, Erased, UploadStore, photo_key, quarantine_key, received_at_of
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.object_writer import ObjectWithMetadata, ObjectWriter, uploader_of
from shelf_assets.photos.decoder_pool import ImageSanitizer
from shelf_assets.photos.sanitizer import Refusal

Ending = Literal["accepted", "same", "refused", "erased", "repeated", "gone", "ignored"]


@dataclass(frozen=True)
class Outcome:
    """Result of validating one upload.

    accepted: it is a new photo. refused: it is in quarantine, with `reason` from `rules.BY_REASON`. same: `photo_id` has the
    same bytes of the same owner. erased: the owner has requested the photo's erasure. repeated: the form has made its photo
    before. gone: neither the upload nor a result of it exists. ignored: the key is not that of a presigned upload.
    """

    ending: Ending
    image_id: str | None = None
    photo_id: str | None = None
    reason: str | None = None


async def validate_incoming(uploads: UploadStore, sanitizer: ImageSanitizer, key: str, max_bytes: int) -> Outcome:
    """Validate the upload at `key`, relative to the lake. Raises StoreUnavailable: the upload is kept and may be retried."""
    image_id = _image_id(key)
    if image_id is None:
        return Outcome("ignored")
    object_writer = uploads.object_writer
    stored = object_writer.store.stat(key)
    if stored is None:
        return Outcome("repeated" if _has_result(uploads, image_id) else "gone", image_id)
    if (photo_id := uploads.photo_of(image_id)) != image_id:
        # Recorded again, because an earlier run may have died between the two steps of note_same.
        uploads.note_same(image_id, photo_id)
        outcome = Outcome("repeated", image_id, photo_id)
    elif uploads.erasure_of(image_id) is not None:
        outcome = Outcome("erased", image_id)
    elif object_writer.store.exists(photo_key(image_id)):
        outcome = Outcome("repeated", image_id, image_id)
    elif stored.size_bytes > max_bytes:
        # Forms limit the size, so this object was put with credentials of the bucket. It is too large to be read.
        refusal = Refusal("too_large", f"{stored.size_bytes:,} bytes, more than {max_bytes:,}")
        outcome = _quarantine(uploads, image_id, b"", uploader_of(object_writer.metadata(key) or {}), refusal)
    elif (upload := object_writer.find(key)) is None:
        return Outcome("repeated" if _has_result(uploads, image_id) else "gone", image_id)
    else:
        outcome = await _accept_or_refuse(uploads, sanitizer, image_id, upload)
    _delete_unless_changed(object_writer, stored)
    return outcome


def _delete_unless_changed(object_writer: ObjectWriter, validated: StoredObject) -> None:
    """Delete the validated object; if the same form has replaced it meanwhile, its own event validates the new one.

    S3 has no conditional delete: an upload that arrives in the milliseconds between check and deletion is lost unread.
    """
    now = object_writer.store.stat(validated.key)
    if now is not None and now.etag == validated.etag:
        object_writer.delete(validated.key)


async def validate_all_incoming(uploads: UploadStore, sanitizer: ImageSanitizer, max_bytes: int) -> Counter[str]:
    """Validate all uploads one after the other; returns the number of each ending, and of "failed" ones, which are kept.

    Several processes may do this at the same time. Raises StoreUnavailable where uploads cannot be listed.
    """
    store = uploads.object_writer.store
    endings: Counter[str] = Counter()
    # In threads, because store calls block and the event loop serves requests.
    for key in await asyncio.to_thread(lambda: [stored.key for stored in store.list(f"{INCOMING}/")]):
        try:
            outcome = await asyncio.to_thread(asyncio.run, validate_incoming(uploads, sanitizer, key, max_bytes))
        except Exception as error:  # noqa: BLE001 - logged; this upload is kept, and the others are validated
            request_log().error("upload not validated", error=type(error).__name__, detail=str(error))
            endings["failed"] += 1
        else:
            endings[outcome.ending] += 1
    return endings


async def validate_incoming_every(
    seconds: float, uploads: UploadStore, sanitizer: ImageSanitizer, max_bytes: int
) -> None:
    """Validate all uploads at an interval, until cancelled; for deployments without the bucket's events."""
    log = request_log()
    while True:
        try:
            endings = await validate_all_incoming(uploads, sanitizer, max_bytes)
        except StoreUnavailable as error:
            log.error("uploads not validated", error=type(error).__name__, detail=str(error))
        else:
            if endings.keys() - {"ignored"}:
                log.info("uploads validated", **endings)
        await asyncio.sleep(seconds)


async def _accept_or_refuse(
    uploads: UploadStore, sanitizer: ImageSanitizer, image_id: str, upload: ObjectWithMetadata
) -> Outcome:
    owner = uploader_of(upload.metadata)
    if owner is None:
        refusal = Refusal("no_owner", "put into incoming/ without an upload form")
        return _quarantine(uploads, image_id, upload.data, owner, refusal)
    result = await sanitizer.sanitize(upload.data)
    if isinstance(result, Refusal):
        return _quarantine(uploads, image_id, upload.data, owner, result)
    try:
        receipt = uploads.accept(result, owner, image_id)
    except Erased as erased:
        uploads.note_same(image_id, erased.args[0])
        return Outcome("erased", image_id, erased.args[0])
    if receipt.image_id == image_id:
        return Outcome("accepted", image_id, image_id)
    uploads.note_same(image_id, receipt.image_id)
    return Outcome("same", image_id, receipt.image_id)


def _quarantine(uploads: UploadStore, image_id: str, data: bytes, owner: str | None, refusal: Refusal) -> Outcome:
    uploads.quarantine(image_id, data, owner or "unknown", refusal)
    return Outcome("refused", image_id, reason=refusal.reason)


def _has_result(uploads: UploadStore, image_id: str) -> bool:
    results = (photo_key(image_id), quarantine_key(received_at_of(image_id).date(), image_id))
    return (
        any(uploads.object_writer.store.exists(key) for key in results)
        or uploads.photo_of(image_id) != image_id
        or uploads.erasure_of(image_id) is not None
    )


def _image_id(key: str) -> str | None:
    folder, _, name = key.rpartition("/")
    try:
        received_at_of(name)
    except ValueError:
        return None
    return name if folder == INCOMING else None
