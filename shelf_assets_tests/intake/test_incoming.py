"""Presigned uploads: each becomes a photo or goes to quarantine, also if events are repeated, late or interrupted."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from shelf_assets.intake.incoming import Outcome, validate_all_incoming, validate_incoming, validate_incoming_every
from shelf_assets.intake.upload_store import (
    ERASURES,
    INCOMING,
    QUARANTINE,
    SAME,
    Receipt,
    UploadStore,
    new_image_id,
    photo_key,
    quarantine_key,
    received_at_of,
)
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import IMAGES, ObjectStore, RetryOptions, StoredObject
from shelf_assets.lake.object_writer import ObjectWithMetadata, ObjectWriter
from shelf_assets.photos.decoder_pool import ImageSanitizer, InProcessSanitizer, sanitizer_options
from shelf_assets.photos.rules import BY_REASON
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.servers import refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera

OWNER, STRANGER = "ab" * 16, "cd" * 16
MAX_BYTES = 200_000


@pytest.fixture
def uploads(lake: LakeUnderTest) -> UploadStore:
    return UploadStore(lake.lake.objects)


def upload(uploads: UploadStore, data: bytes, owner: str | None = OWNER, image_id: str | None = None) -> str:
    """Store an upload as a form does."""
    image_id = image_id or new_image_id(datetime.now(UTC))
    uploads.object_writer.put(f"{INCOMING}/{image_id}", data, {"owner": owner} if owner else {})
    return image_id


def validate(uploads: UploadStore, image_id: str, sanitizer: ImageSanitizer | None = None) -> Outcome:
    sanitizer = sanitizer or InProcessSanitizer(sanitizer_options(load_settings({}).photos))
    return asyncio.run(validate_incoming(uploads, sanitizer, f"{INCOMING}/{image_id}", MAX_BYTES))


def photo_in(uploads: UploadStore, image_id: str) -> ObjectWithMetadata:
    photo = uploads.object_writer.find(photo_key(image_id))
    assert photo is not None
    return photo


def quarantined(uploads: UploadStore, image_id: str) -> ObjectWithMetadata:
    refused = uploads.object_writer.find(quarantine_key(received_at_of(image_id).date(), image_id))
    assert refused is not None
    return refused


def keys(uploads: UploadStore, prefix: str) -> list[str]:
    return [stored.key for stored in uploads.object_writer.store.list(f"{prefix}/")]


def test_accepted_upload_is_sanitized_under_its_own_name(uploads: UploadStore) -> None:
    image_id = upload(uploads, from_a_camera())
    assert validate(uploads, image_id) == Outcome("accepted", image_id, image_id)
    kept = photo_in(uploads, image_id)
    assert b"Canary" not in kept.data and b"Exif" not in kept.data
    assert (kept.metadata["owner"], kept.metadata["camera"]) == (OWNER, "CanaryWorks Model 7")
    assert not keys(uploads, INCOMING) and not keys(uploads, QUARANTINE)


def test_refused_upload_moves_to_quarantine(uploads: UploadStore) -> None:
    image_id = upload(uploads, b"MZ" + from_a_camera())
    assert validate(uploads, image_id) == Outcome("refused", image_id, reason="not_an_image")
    kept = quarantined(uploads, image_id)
    assert kept.data == b"MZ" + from_a_camera()
    assert (kept.metadata["owner"], kept.metadata["reason"]) == (OWNER, "not_an_image")
    assert not keys(uploads, INCOMING) and not keys(uploads, IMAGES)


@pytest.mark.parametrize("owner", [None, "", "Jane Doe", OWNER.upper()])
def test_upload_without_owner_is_refused(uploads: UploadStore, owner: str | None) -> None:
    image_id = upload(uploads, from_a_camera(), owner)
    assert validate(uploads, image_id) == Outcome("refused", image_id, reason="no_owner")
    assert quarantined(uploads, image_id).metadata["reason"] == "no_owner"
    assert BY_REASON["no_owner"].sentence
    assert not keys(uploads, IMAGES)


def test_oversized_upload_is_refused_unread(uploads: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = upload(uploads, b"\xff\xd8\xff" + bytes(MAX_BYTES))
    read: list[str] = []
    find = ObjectWriter.find
    monkeypatch.setattr(ObjectWriter, "find", lambda self, key: (read.append(key), find(self, key))[1])
    assert validate(uploads, image_id) == Outcome("refused", image_id, reason="too_large")
    assert f"{INCOMING}/{image_id}" not in read
    assert quarantined(uploads, image_id).data == b""


def test_repeated_event_changes_no_object(uploads: UploadStore) -> None:
    good, bad = upload(uploads, from_a_camera()), upload(uploads, b"text")
    validate(uploads, good), validate(uploads, bad)
    before = {stored.key: stored.etag for stored in uploads.object_writer.store.list("")}
    assert validate(uploads, good) == Outcome("repeated", good)
    assert validate(uploads, bad) == Outcome("repeated", bad)
    assert {stored.key: stored.etag for stored in uploads.object_writer.store.list("")} == before


def test_event_of_a_missing_upload_is_reported_as_gone(uploads: UploadStore) -> None:
    image_id = new_image_id(datetime.now(UTC))
    assert validate(uploads, image_id) == Outcome("gone", image_id)
    assert not list(uploads.object_writer.store.list(""))


class Dies(Exception):
    """Raised to simulate the death of the process."""


@pytest.mark.parametrize("data", [from_a_camera(), b"text"], ids=["good", "bad"])
def test_upload_is_deleted_only_after_its_result_is_stored(
    uploads: UploadStore, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """The process dies at each write in turn: the upload is kept until its result is durable, and the next event finishes it."""
    image_id = upload(uploads, data)
    put, create, delete = ObjectWriter.put, ObjectWriter.create, ObjectWriter.delete
    for writes_left in range(10):
        left = [writes_left]

        def dying(method, left=left):
            def call(self, *arguments, **named):
                if not left[0]:
                    raise Dies
                left[0] -= 1
                return method(self, *arguments, **named)

            return call

        monkeypatch.setattr(ObjectWriter, "put", dying(put))
        monkeypatch.setattr(ObjectWriter, "create", dying(create))
        monkeypatch.setattr(ObjectWriter, "delete", dying(delete))
        try:
            validate(uploads, image_id)
        except Dies:
            assert keys(uploads, INCOMING) == [f"{INCOMING}/{image_id}"]
        else:
            assert writes_left > 1
            break
    assert not keys(uploads, INCOMING)
    assert len(keys(uploads, IMAGES) + keys(uploads, QUARANTINE)) == 1


def test_second_upload_by_a_form_leaves_the_photo_unchanged(uploads: UploadStore) -> None:
    image_id = upload(uploads, from_a_camera("red"))
    validate(uploads, image_id)
    before = photo_in(uploads, image_id)
    upload(uploads, from_a_camera("blue"), image_id=image_id)
    assert validate(uploads, image_id) == Outcome("repeated", image_id, image_id)
    assert photo_in(uploads, image_id) == before
    assert not keys(uploads, INCOMING)


def test_good_photo_is_accepted_after_a_refused_one(uploads: UploadStore) -> None:
    image_id = upload(uploads, b"text")
    validate(uploads, image_id)
    upload(uploads, from_a_camera(), image_id=image_id)
    assert validate(uploads, image_id).ending == "accepted"
    assert photo_in(uploads, image_id).metadata["camera"] == "CanaryWorks Model 7"


def test_same_form_bytes_of_one_owner_are_one_photo(uploads: UploadStore) -> None:
    first, second, strangers = (
        upload(uploads, from_a_camera()),
        upload(uploads, from_a_camera()),
        upload(uploads, from_a_camera(), STRANGER),
    )
    validate(uploads, first)
    assert validate(uploads, second) == Outcome("same", second, first)
    assert validate(uploads, second) == Outcome("repeated", second)
    assert (uploads.photo_of(second), uploads.photo_of(first)) == (first, first)
    assert validate(uploads, strangers) == Outcome("accepted", strangers, strangers)
    assert sorted(keys(uploads, IMAGES)) == sorted([photo_key(first), photo_key(strangers)])
    assert not keys(uploads, INCOMING)


def test_form_of_a_duplicate_makes_no_second_photo(uploads: UploadStore) -> None:
    """A second photo would be stored under the form's image_id, which refers to the first photo: it could not be erased."""
    first, second = upload(uploads, from_a_camera("red")), upload(uploads, from_a_camera("red"))
    validate(uploads, first), validate(uploads, second)
    upload(uploads, from_a_camera("blue"), image_id=second)
    assert validate(uploads, second) == Outcome("repeated", second, first)
    assert keys(uploads, IMAGES) == [photo_key(first)]
    assert not keys(uploads, INCOMING)


class Meanwhile:
    """A sanitizer that first calls a function."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    async def sanitize(self, data: bytes) -> SanitizedPhoto | Refusal:
        self._happens()
        return await InProcessSanitizer(sanitizer_options(load_settings({}).photos)).sanitize(data)


def test_erasure_requested_during_validation_reaches_the_photo(uploads: UploadStore) -> None:
    first, second, own = (
        upload(uploads, from_a_camera()),
        upload(uploads, from_a_camera()),
        upload(uploads, from_a_camera("blue")),
    )
    validate(uploads, first)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    for image_id, outcome in (
        (second, Outcome("same", second, first)),
        (own, Outcome("accepted", own, own)),
    ):
        sanitizer = Meanwhile(lambda image_id=image_id: uploads.ask_erasure(image_id, OWNER, asked_at))
        assert validate(uploads, image_id, sanitizer) == outcome
    assert (uploads.erasure_of(first), uploads.erasure_of(own)) == (asked_at, asked_at)


def test_erasure_requested_before_a_crash_reaches_the_photo(uploads: UploadStore) -> None:
    """The earlier run had recorded whose photo the upload is, and nothing else."""
    first, second = upload(uploads, from_a_camera()), upload(uploads, from_a_camera())
    validate(uploads, first)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    uploads.object_writer.put(f"{SAME}/{second}", first.encode(), {})
    uploads.object_writer.create(
        f"{ERASURES}/{second}.json", json.dumps({"owner": OWNER, "asked_at": asked_at.isoformat()}).encode()
    )
    validate(uploads, second)
    assert uploads.erasure_of(first) == asked_at


def test_erasure_requested_after_validation_reaches_the_photo(uploads: UploadStore) -> None:
    """The request had looked for the photo's image_id before validation recorded it."""
    first, second = upload(uploads, from_a_camera()), upload(uploads, from_a_camera())
    validate(uploads, first), validate(uploads, second)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    uploads.ask_erasure(second, OWNER, asked_at)
    assert uploads.erasure_of(first) == asked_at


def test_upload_replaced_during_validation_is_validated_again(uploads: UploadStore) -> None:
    image_id = upload(uploads, b"text")
    sanitizer = Meanwhile(lambda: upload(uploads, from_a_camera(), image_id=image_id))
    assert validate(uploads, image_id, sanitizer).ending == "refused"
    assert keys(uploads, INCOMING) == [f"{INCOMING}/{image_id}"]
    assert validate(uploads, image_id).ending == "accepted"
    assert not keys(uploads, INCOMING)


def test_erased_photo_is_not_accepted_again(uploads: UploadStore) -> None:
    """Neither a late event nor an upload of the same bytes by another form restores it."""
    now = datetime.now(UTC)
    unjudged, first = upload(uploads, from_a_camera("blue")), upload(uploads, from_a_camera())
    uploads.ask_erasure(unjudged, OWNER, now)
    assert validate(uploads, unjudged) == Outcome("erased", unjudged)
    validate(uploads, first)
    uploads.ask_erasure(first, OWNER, now)
    uploads.object_writer.delete(photo_key(first))
    again = upload(uploads, from_a_camera())
    assert validate(uploads, again) == Outcome("erased", again, first)
    assert uploads.photo_of(again) == first
    assert not [key for prefix in (IMAGES, INCOMING, QUARANTINE) for key in keys(uploads, prefix)]


@pytest.mark.parametrize("key", ["images/2026/11/24/{}", "incoming/", "incoming/photo.jpg", "incoming/a/{}", "{}", ""])
def test_object_outside_incoming_is_ignored(disk_lake: LakeUnderTest, key: str) -> None:
    uploads = UploadStore(disk_lake.lake.objects)
    key = key.format(new_image_id(datetime.now(UTC)))
    if not key.endswith("/") and key:
        uploads.object_writer.put(key, from_a_camera(), {"owner": OWNER})
    sanitizer = InProcessSanitizer(sanitizer_options(load_settings({}).photos))
    assert asyncio.run(validate_incoming(uploads, sanitizer, key, MAX_BYTES)) == Outcome("ignored")
    assert not key or key.endswith("/") or uploads.object_writer.store.exists(key)


def test_concurrent_validators_accept_one_photo(uploads: UploadStore) -> None:
    image_id = upload(uploads, from_a_camera())
    sanitizer = InProcessSanitizer(sanitizer_options(load_settings({}).photos))

    class Slowly:
        """Waits until both have read the upload."""

        async def sanitize(self, data: bytes):
            await asyncio.sleep(0.01)
            return await sanitizer.sanitize(data)

    async def both() -> list[Outcome]:
        validated = (validate_incoming(uploads, Slowly(), f"{INCOMING}/{image_id}", MAX_BYTES) for _ in range(2))
        return await asyncio.gather(*validated)

    assert asyncio.run(both()) == [Outcome("accepted", image_id, image_id)] * 2
    assert photo_in(uploads, image_id).metadata["owner"] == OWNER
    assert not keys(uploads, INCOMING)


def test_failed_upload_does_not_stop_the_others(uploads: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before, broken, after = (upload(uploads, from_a_camera(colour)) for colour in ("red", "green", "blue"))
    uploads.object_writer.put(f"{INCOMING}/not-ours", from_a_camera(), {})
    accept = UploadStore.accept

    def accept_but_one(self: UploadStore, photo: SanitizedPhoto, owner: str, image_id: str) -> Receipt:
        if image_id == broken:
            raise StoreUnavailable("writing: the store says SlowDown")
        return accept(self, photo, owner, image_id)

    def validate_all() -> dict[str, int]:
        return asyncio.run(
            validate_all_incoming(uploads, InProcessSanitizer(sanitizer_options(load_settings({}).photos)), MAX_BYTES)
        )

    monkeypatch.setattr(UploadStore, "accept", accept_but_one)
    assert validate_all() == {"accepted": 2, "failed": 1, "ignored": 1}
    assert sorted(keys(uploads, IMAGES)) == [photo_key(before), photo_key(after)]
    monkeypatch.setattr(UploadStore, "accept", accept)
    assert validate_all() == {"accepted": 1, "ignored": 1}
    assert validate_all() == {"ignored": 1}


def test_validation_loop_continues_after_a_store_failure(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uploads = UploadStore(disk_lake.lake.objects)
    image_id = upload(uploads, from_a_camera())
    list_all, listed = ObjectStore.list, []

    def fail_once(self: ObjectStore, prefix: str) -> Iterator[StoredObject]:
        listed.append(prefix)
        if len(listed) == 1:
            raise StoreUnavailable("listing: the store says SlowDown")
        return list_all(self, prefix)

    monkeypatch.setattr(ObjectStore, "list", fail_once)

    async def validate_until_it_is_a_photo() -> None:
        validating = asyncio.create_task(
            validate_incoming_every(
                0.01, uploads, InProcessSanitizer(sanitizer_options(load_settings({}).photos)), MAX_BYTES
            )
        )
        async with asyncio.timeout(60):
            while not uploads.object_writer.store.exists(photo_key(image_id)):
                await asyncio.sleep(0.01)
        validating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await validating

    asyncio.run(validate_until_it_is_a_photo())
    assert "SlowDown" in capsys.readouterr().err


def test_validation_raises_while_the_store_is_unavailable() -> None:
    impatient = dataclasses.replace(RetryOptions(), tries_again=0)
    config = {
        "endpoint": f"http://127.0.0.1:{refusing_port()}",
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
    }
    uploads = UploadStore(ObjectStore("s3://shelf/lake", config, impatient))
    with pytest.raises(StoreUnavailable):
        validate(uploads, new_image_id(datetime.now(UTC)))
