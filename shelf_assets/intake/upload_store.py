"""Upload store: photos under their day, and the records that make uploads idempotent and erasures durable.

| key | content |
|---|---|
| `images/YYYY/MM/DD/<image_id>` | the sanitized photo; metadata: owner, received-at, upload-sha256, and the sanitizer's |
| `door/claims/<owner>/<upload sha256>` | image_id of these bytes of this owner: the first upload's, while its photo exists |
| `door/idempotency/<owner>/<sha256 of the key>` | upload sha256 that an Idempotency-Key was first used for |
| `door/erasures/<image_id>.json` | an authorised request to erase the photo, with its time |
| `door/same/<image_id>` | image_id of the earlier photo with the same owner and bytes as this presigned upload |
| `incoming/<image_id>` | a presigned upload that is not validated yet |
| `quarantine/YYYY/MM/DD/<image_id>` | a refused presigned upload; metadata: owner, reason, detail |

`owner` is always the keyed hash of the owner's name. An image_id is a UUIDv7, whose time gives the day of the photo.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime

from shelf_assets.lake.image_ids import RANDOM_BITS, uuid7
from shelf_assets.lake.object_store import ObjectStore, day_prefix
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto

CLAIMS, IDEMPOTENCY, ERASURES = "door/claims", "door/idempotency", "door/erasures"
INCOMING, QUARANTINE, SAME = "incoming", "quarantine", "door/same"


class KeyReused(ValueError):
    """An Idempotency-Key was used again with another photo."""


class Erased(LookupError):
    """The owner has requested the erasure of a photo with the same bytes; the argument is its image_id."""


@dataclass(frozen=True)
class Receipt:
    """Result of an accepted upload. `is_new` is False where the same owner had sent the same bytes before."""

    image_id: str
    received_at: datetime
    is_new: bool

    @property
    def day(self) -> date:
        return self.received_at.date()


def new_image_id(now: datetime) -> str:
    """A UUIDv7 (RFC 9562): milliseconds since 1970 in UTC, then 74 random bits. Midnight belongs to the new day."""
    return uuid7(int(now.astimezone(UTC).timestamp() * 1000), secrets.randbits(RANDOM_BITS))


def received_at_of(image_id: str) -> datetime:
    """Time at which the image_id was assigned. Raises ValueError for any other string."""
    value = uuid.UUID(image_id)
    if value.version != 7 or str(value) != image_id:
        raise ValueError(f"{image_id} is not an image_id")
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def photo_key(image_id: str) -> str:
    return f"{day_prefix(received_at_of(image_id).date())}{image_id}"


def owner_hash(name: str, key: bytes) -> str:
    """Keyed hash (32 hex digits) that represents an owner in the lake; a name cannot be checked against it without the key."""
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]


class UploadStore:
    """Stores accepted and refused uploads. Every method is idempotent and may be called concurrently."""

    def __init__(self, store: ObjectStore) -> None:
        self.object_writer = ObjectWriter(store)

    def accept(self, photo: SanitizedPhoto, owner: str, image_id: str, idempotency_key: str | None = None) -> Receipt:
        """Store a photo durably. `image_id` is a new one; the receipt has that of the first upload of the same bytes.

        Raises KeyReused, Erased and StoreUnavailable. A process that dies between claim and photo leaves a claim without a
        photo. A retry on the same day stores the photo under the claim's image_id. A later retry replaces the claim, because
        past days are not processed again. Two retries that replace one claim at the same time may store two photos;
        `raw_images` accepts one of them.
        """
        sha256 = photo.upload_sha256
        if idempotency_key is not None:
            self._bind_idempotency_key(owner, idempotency_key, sha256)
        claim = f"{CLAIMS}/{owner}/{sha256}"
        is_new = self.object_writer.create(claim, image_id.encode())
        is_missing = is_new
        if not is_new:
            found = self.object_writer.find(claim)
            first_id = found.data.decode() if found else image_id
            if self.erasure_of(first_id) is not None:
                raise Erased(first_id)
            is_missing = not self.object_writer.store.exists(photo_key(first_id))
            if is_missing and received_at_of(first_id).date() != received_at_of(image_id).date():
                self.object_writer.put(claim, image_id.encode(), {})
                is_new = True
            else:
                image_id = first_id
        receipt = Receipt(image_id, received_at_of(image_id), is_new)
        if is_missing:
            metadata = {"owner": owner, "received-at": receipt.received_at.isoformat(), "upload-sha256": sha256}
            self.object_writer.put(photo_key(image_id), photo.jpeg, metadata | dict(photo.metadata))
        return receipt

    def _bind_idempotency_key(self, owner: str, idempotency_key: str, sha256: str) -> None:
        """Bind an Idempotency-Key to these bytes. Raises KeyReused where it is bound to others."""
        key = f"{IDEMPOTENCY}/{owner}/{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
        if not self.object_writer.create(key, sha256.encode()):
            found = self.object_writer.find(key)
            if found is not None and found.data.decode() != sha256:
                raise KeyReused("this Idempotency-Key was used for another photo")

    def note_same(self, image_id: str, photo_id: str) -> None:
        """Record that the upload `image_id` has no photo of its own: its bytes are those of `photo_id`.

        An erasure that was requested under `image_id` in the meantime is copied to `photo_id`.
        """
        self.object_writer.put(f"{SAME}/{image_id}", photo_id.encode(), {})
        self._copy_erasure(image_id, photo_id)

    def photo_of(self, image_id: str) -> str:
        """Image_id under which the upload's photo is stored: its own, unless the same bytes were sent before.

        Call it first for every image_id that an owner sends: states, erasures and tables use the photo's image_id.
        """
        found = self.object_writer.find(f"{SAME}/{image_id}")
        return found.data.decode() if found else image_id

    def ask_erasure(self, image_id: str, owner: str, now: datetime) -> datetime:
        """Record durably that a photo is to be erased; returns the time of the first such request."""
        self._record_erasure(image_id, owner, now.isoformat())
        # Validation records the photo's image_id first and then reads erasures; this reads in the opposite order. So at least
        # one of the two sees the record of the other.
        if (photo_id := self.photo_of(image_id)) != image_id:
            self._copy_erasure(image_id, photo_id)
        return self.erasure_of(image_id) or now

    def _record_erasure(self, image_id: str, owner: str, asked_at: str) -> None:
        record = json.dumps({"image_id": image_id, "owner": owner, "asked_at": asked_at})
        self.object_writer.create(f"{ERASURES}/{image_id}.json", record.encode())

    def _copy_erasure(self, image_id: str, photo_id: str) -> None:
        if (found := self.object_writer.find(f"{ERASURES}/{image_id}.json")) is not None:
            record = json.loads(found.data)
            self._record_erasure(photo_id, record["owner"], record["asked_at"])

    def erasure_of(self, image_id: str) -> datetime | None:
        """Time at which the erasure of a photo was requested; None if it was not."""
        found = self.object_writer.find(f"{ERASURES}/{image_id}.json")
        return datetime.fromisoformat(json.loads(found.data)["asked_at"]) if found else None

    def quarantine(self, image_id: str, data: bytes, owner: str, refusal: Refusal) -> None:
        """Store a refused upload with its reason; the bucket's lifecycle rule deletes it after some days."""
        metadata = {
            "owner": owner,
            "reason": refusal.reason,
            "detail": refusal.detail.encode("ascii", "replace").decode()[:200],
        }
        self.object_writer.put(quarantine_key(received_at_of(image_id).date(), image_id), data, metadata)


def quarantine_key(day: date, image_id: str) -> str:
    return f"{QUARANTINE}/{day:%Y/%m/%d}/{image_id}"
