"""A presigned upload is there: judged, then moved to its photo or to quarantine. Events that say so are `serverless`' work.

Whoever says so may say it twice, late, or at the same time as another: every step may be done again, and the upload
itself goes last, when what was made of it is durable. An upload form makes one photo: what comes in later by the same
form, within its time, goes unread. While nothing but refused uploads came by it, the next is judged: who sent a bad photo
may send a good one. `door/same` answers for an upload whose photo was there already under another name.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from shelf_assets.http.logs import request_log
from shelf_assets.intake.owners import uploader_of
from shelf_assets.intake.upload_store import INCOMING, Erased, UploadStore, photo_key, quarantine_key, received_at_of
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.object_writer import ObjectWithMetadata, ObjectWriter
from shelf_assets.photos.decoder_pool import ImageSanitizer
from shelf_assets.photos.sanitizer import Refused

Ending = Literal["accepted", "same", "refused", "erased", "repeated", "gone", "ignored"]


@dataclass(frozen=True)
class Outcome:
    """How an upload ended.

    accepted, refused: as it is called, with `reason` from `rules.BY_REASON`. same: `photo_id` has the same bytes of the
    same owner. erased: its owner had asked for the photo's erasure. repeated: the form has made its photo before. gone:
    nothing is left of it, nor was anything made of it. ignored: no upload by a form of ours.
    """

    ending: Ending
    image_id: str | None = None
    photo_id: str | None = None
    reason: str | None = None


async def validate_incoming(receipts: UploadStore, sanitizer: ImageSanitizer, key: str, max_bytes: int) -> Outcome:
    """Judge the upload at `key`, as the lake calls it. Raises StoreUnavailable: try again later, nothing is lost."""
    image_id = _image_id(key)
    if image_id is None:
        return Outcome("ignored")
    object_writer = receipts.object_writer
    stored = object_writer.store.stat(key)
    if stored is None:
        return Outcome("repeated" if _was_judged(receipts, image_id) else "gone", image_id)
    if (photo_id := receipts.photo_of(image_id)) != image_id:
        # Again, for the judge before may have died between its two steps.
        receipts.note_same(image_id, photo_id)
        outcome = Outcome("repeated", image_id, photo_id)
    elif receipts.erasure_of(image_id) is not None:
        outcome = Outcome("erased", image_id)
    elif object_writer.store.exists(photo_key(image_id)):
        outcome = Outcome("repeated", image_id, image_id)
    elif stored.size_bytes > max_bytes:
        # A form takes no such upload, so whoever put it there has keys to the bucket. It is too large to be read at all.
        refused = Refused("too_large", f"{stored.size_bytes:,} bytes, more than {max_bytes:,}")
        outcome = _quarantined(receipts, image_id, b"", uploader_of(object_writer.metadata(key) or {}), refused)
    elif (upload := object_writer.find(key)) is None:
        return Outcome("repeated" if _was_judged(receipts, image_id) else "gone", image_id)
    else:
        outcome = await _judged(receipts, sanitizer, image_id, upload)
    _delete_unless_changed(object_writer, stored)
    return outcome


def _delete_unless_changed(object_writer: ObjectWriter, judged: StoredObject) -> None:
    """Delete what was judged; another upload that came meanwhile, by the same form, is left to its own event.

    S3 deletes without conditions: one that comes between the look and the deletion, within milliseconds, is lost unread.
    """
    now = object_writer.store.stat(judged.key)
    if now is not None and now.etag == judged.etag:
        object_writer.delete(judged.key)


async def validate_all_incoming(receipts: UploadStore, sanitizer: ImageSanitizer, max_bytes: int) -> Counter[str]:
    """Judge all uploads that are there, one after the other; how often each ending came, "failed" for who is to wait.

    Whoever else judges them at the same time does no harm. Raises StoreUnavailable where they cannot be listed.
    """
    store = receipts.object_writer.store
    endings: Counter[str] = Counter()
    # In threads, for the store is waited for, and the loop has others to serve.
    for key in await asyncio.to_thread(lambda: [stored.key for stored in store.list(f"{INCOMING}/")]):
        try:
            outcome = await asyncio.to_thread(asyncio.run, validate_incoming(receipts, sanitizer, key, max_bytes))
        except Exception as error:  # noqa: BLE001 - logged; it stays where it is, and the others are judged
            request_log().error("upload not judged", error=type(error).__name__, detail=str(error))
            endings["failed"] += 1
        else:
            endings[outcome.ending] += 1
    return endings


async def validate_incoming_every(
    seconds: float, receipts: UploadStore, sanitizer: ImageSanitizer, max_bytes: int
) -> None:
    """Judge what is there, again and again until cancelled; where no events of the bucket are heard."""
    log = request_log()
    while True:
        try:
            endings = await validate_all_incoming(receipts, sanitizer, max_bytes)
        except StoreUnavailable as error:
            log.error("uploads not judged", error=type(error).__name__, detail=str(error))
        else:
            if endings.keys() - {"ignored"}:
                log.info("uploads judged", **endings)
        await asyncio.sleep(seconds)


async def _judged(
    receipts: UploadStore, sanitizer: ImageSanitizer, image_id: str, upload: ObjectWithMetadata
) -> Outcome:
    owner = uploader_of(upload.metadata)
    if owner is None:
        refused = Refused("no_owner", "put into incoming/ without the door's form")
        return _quarantined(receipts, image_id, upload.data, owner, refused)
    sanitized = await sanitizer.sanitize(upload.data)
    if isinstance(sanitized, Refused):
        return _quarantined(receipts, image_id, upload.data, owner, sanitized)
    try:
        receipt = receipts.take(sanitized, owner, image_id)
    except Erased as erased:
        receipts.note_same(image_id, erased.args[0])
        return Outcome("erased", image_id, erased.args[0])
    if receipt.image_id == image_id:
        return Outcome("accepted", image_id, image_id)
    receipts.note_same(image_id, receipt.image_id)
    return Outcome("same", image_id, receipt.image_id)


def _quarantined(receipts: UploadStore, image_id: str, data: bytes, owner: str | None, refused: Refused) -> Outcome:
    receipts.quarantine(image_id, data, owner or "unknown", refused)
    return Outcome("refused", image_id, reason=refused.reason)


def _was_judged(receipts: UploadStore, image_id: str) -> bool:
    made = (photo_key(image_id), quarantine_key(received_at_of(image_id).date(), image_id))
    return (
        any(receipts.object_writer.store.exists(key) for key in made)
        or receipts.photo_of(image_id) != image_id
        or receipts.erasure_of(image_id) is not None
    )


def _image_id(key: str) -> str | None:
    folder, _, name = key.rpartition("/")
    try:
        received_at_of(name)
    except ValueError:
        return None
    return name if folder == INCOMING else None
