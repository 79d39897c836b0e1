"""What rests of an upload: the photo under its day, with its facts; claims, that make an upload one whatever is repeated.

| key | what |
|---|---|
| `images/YYYY/MM/DD/<image_id>` | the rebuilt photo; facts: owner, received-at, upload-sha256, and those of `rebuild` |
| `door/claims/<owner>/<upload sha256>` | the image_id of these bytes of this owner: the first writer's, while its photo is there |
| `door/idempotency/<owner>/<sha256 of the key>` | the upload sha256 that an Idempotency-Key was first used for |
| `door/erasures/<image_id>.json` | somebody with the right to it asked for its erasure, and when |
| `door/same/<image_id>` | the image_id of the photo that this presigned upload turned out to be: the same owner's same bytes |
| `incoming/<image_id>` | a presigned upload that nobody has judged yet |
| `quarantine/YYYY/MM/DD/<image_id>` | a presigned upload that was refused; facts: owner, reason, detail |

`owner` is everywhere the keyed hash of the owner's name. An image_id is a UUIDv7: its time says the day of the photo.
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
    """An Idempotency-Key came back with another photo."""


class Erased(LookupError):
    """The same bytes were sent before, and their owner asked for their erasure."""


@dataclass(frozen=True)
class Receipt:
    """`is_new` is False where the same owner had sent the same bytes before."""

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
    """When the door named the photo. Raises ValueError for anything that no door has named."""
    value = uuid.UUID(image_id)
    if value.version != 7 or str(value) != image_id:
        raise ValueError(f"{image_id} is no image_id of a door")
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def photo_key(image_id: str) -> str:
    return f"{day_prefix(received_at_of(image_id).date())}{image_id}"


def owner_hash(name: str, key: bytes) -> str:
    """What stands for an owner in the lake: without the key nobody can go from a name to it."""
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]


class UploadStore:
    """Takes accepted photos into the lake; every method may be called again, by anybody, at any time."""

    def __init__(self, store: ObjectStore) -> None:
        self.object_writer = ObjectWriter(store)

    def take(self, accepted: SanitizedPhoto, owner: str, image_id: str, idempotency_key: str | None = None) -> Receipt:
        """Store a photo and answer for it. `image_id` is a new one; the answer's is that of the first such upload.

        Raises KeyReused, Erased and StoreUnavailable. A writer that dies between claim and photo leaves a claim without a
        photo: tried again on its day the photo gets the claim's name, later the claim gets the photo's, for nobody looks
        at old days any more. Two that take over one claim at once may make two photos, of which `raw_images` takes one.
        """
        sha256 = accepted.upload_sha256
        if idempotency_key is not None:
            self._hold(owner, idempotency_key, sha256)
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
            self.object_writer.put(photo_key(image_id), accepted.jpeg, self._facts(accepted, owner, receipt))
        return receipt

    def _facts(self, accepted: SanitizedPhoto, owner: str, receipt: Receipt) -> dict[str, str]:
        kept = {"owner": owner, "received-at": receipt.received_at.isoformat(), "upload-sha256": accepted.upload_sha256}
        return kept | dict(accepted.facts)

    def _hold(self, owner: str, idempotency_key: str, sha256: str) -> None:
        """Bind an Idempotency-Key to these bytes. Raises KeyReused where it is bound to others."""
        key = f"{IDEMPOTENCY}/{owner}/{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
        if not self.object_writer.create(key, sha256.encode()):
            found = self.object_writer.find(key)
            if found is not None and found.data.decode() != sha256:
                raise KeyReused("this Idempotency-Key was used for another photo")

    def note_same(self, image_id: str, photo_id: str) -> None:
        """Record that the upload `image_id` has no photo of its own: its bytes are those of `photo_id`.

        An erasure that was asked for under the upload's name meanwhile is the photo's.
        """
        self.object_writer.put(f"{SAME}/{image_id}", photo_id.encode(), {})
        self._pass_on_erasure(image_id, photo_id)

    def photo_of(self, image_id: str) -> str:
        """The image_id that the photo of an upload rests under: its own, unless its bytes were sent before.

        Ask it first wherever an owner names an image: state, erasure and tables know the photo's name alone.
        """
        found = self.object_writer.find(f"{SAME}/{image_id}")
        return found.data.decode() if found else image_id

    def ask_erasure(self, image_id: str, owner: str, now: datetime) -> datetime:
        """Record, durably, that a photo is to be erased; the first time it was asked for."""
        self._record_erasure(image_id, owner, now.isoformat())
        # The judge of an upload notes whose photo it is, then looks for this record: one of the two sees the other's.
        if (photo_id := self.photo_of(image_id)) != image_id:
            self._pass_on_erasure(image_id, photo_id)
        return self.erasure_of(image_id) or now

    def _record_erasure(self, image_id: str, owner: str, asked_at: str) -> None:
        record = json.dumps({"image_id": image_id, "owner": owner, "asked_at": asked_at})
        self.object_writer.create(f"{ERASURES}/{image_id}.json", record.encode())

    def _pass_on_erasure(self, image_id: str, photo_id: str) -> None:
        if (found := self.object_writer.find(f"{ERASURES}/{image_id}.json")) is not None:
            asked = json.loads(found.data)
            self._record_erasure(photo_id, asked["owner"], asked["asked_at"])

    def erasure_of(self, image_id: str) -> datetime | None:
        """When the erasure of a photo was asked for."""
        found = self.object_writer.find(f"{ERASURES}/{image_id}.json")
        return datetime.fromisoformat(json.loads(found.data)["asked_at"]) if found else None

    def quarantine(self, image_id: str, data: bytes, owner: str, refused: Refusal) -> None:
        """Keep a refused upload apart, with the reason; the bucket's lifecycle ends it."""
        facts = {
            "owner": owner,
            "reason": refused.reason,
            "detail": refused.detail.encode("ascii", "replace").decode()[:200],
        }
        self.object_writer.put(quarantine_key(received_at_of(image_id).date(), image_id), data, facts)


def quarantine_key(day: date, image_id: str) -> str:
    return f"{QUARANTINE}/{day:%Y/%m/%d}/{image_id}"
