"""Presigned uploads that were put: each ends as a photo or in quarantine, whatever is repeated, late or cut short."""

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
from shelf_assets.photos.sanitizer import Accepted, Refused
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.servers import refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera

OWNER, STRANGER = "ab" * 16, "cd" * 16
MAX_BYTES = 200_000


@pytest.fixture
def receipts(lake: LakeUnderTest) -> UploadStore:
    return UploadStore(lake.lake.objects)


def upload(receipts: UploadStore, data: bytes, owner: str | None = OWNER, image_id: str | None = None) -> str:
    """What a form leaves behind."""
    image_id = image_id or new_image_id(datetime.now(UTC))
    receipts.object_writer.put(f"{INCOMING}/{image_id}", data, {"owner": owner} if owner else {})
    return image_id


def validate(receipts: UploadStore, image_id: str, sanitizer: ImageSanitizer | None = None) -> Outcome:
    sanitizer = sanitizer or InProcessSanitizer(sanitizer_options(load_settings().photos))
    return asyncio.run(validate_incoming(receipts, sanitizer, f"{INCOMING}/{image_id}", MAX_BYTES))


def photo_in(receipts: UploadStore, image_id: str) -> ObjectWithMetadata:
    deposit = receipts.object_writer.find(photo_key(image_id))
    assert deposit is not None
    return deposit


def quarantined(receipts: UploadStore, image_id: str) -> ObjectWithMetadata:
    deposit = receipts.object_writer.find(quarantine_key(received_at_of(image_id).date(), image_id))
    assert deposit is not None
    return deposit


def keys(receipts: UploadStore, prefix: str) -> list[str]:
    return [stored.key for stored in receipts.object_writer.store.list(f"{prefix}/")]


def test_an_upload_is_kept_as_it_came_or_under_another_name(receipts: UploadStore) -> None:
    image_id = upload(receipts, from_a_camera())
    assert validate(receipts, image_id) == Outcome("accepted", image_id, image_id)
    kept = photo_in(receipts, image_id)
    assert b"Canary" not in kept.data and b"Exif" not in kept.data
    assert (kept.metadata["owner"], kept.metadata["camera"]) == (OWNER, "CanaryWorks Model 7")
    assert not keys(receipts, INCOMING) and not keys(receipts, QUARANTINE)


def test_a_refused_upload_is_lost_or_its_original_stays(receipts: UploadStore) -> None:
    image_id = upload(receipts, b"MZ" + from_a_camera())
    assert validate(receipts, image_id) == Outcome("refused", image_id, reason="not_an_image")
    kept = quarantined(receipts, image_id)
    assert kept.data == b"MZ" + from_a_camera()
    assert (kept.metadata["owner"], kept.metadata["reason"]) == (OWNER, "not_an_image")
    assert not keys(receipts, INCOMING) and not keys(receipts, IMAGES)


@pytest.mark.parametrize("owner", [None, "", "Jane Doe", OWNER.upper()])
def test_an_object_that_no_form_put_becomes_a_photo(receipts: UploadStore, owner: str | None) -> None:
    image_id = upload(receipts, from_a_camera(), owner)
    assert validate(receipts, image_id) == Outcome("refused", image_id, reason="no_owner")
    assert quarantined(receipts, image_id).metadata["reason"] == "no_owner"
    assert BY_REASON["no_owner"].sentence
    assert not keys(receipts, IMAGES)


def test_an_upload_that_no_form_takes_is_read_into_memory(
    receipts: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = upload(receipts, b"\xff\xd8\xff" + bytes(MAX_BYTES))
    read: list[str] = []
    find = ObjectWriter.find
    monkeypatch.setattr(ObjectWriter, "find", lambda self, key: (read.append(key), find(self, key))[1])
    assert validate(receipts, image_id) == Outcome("refused", image_id, reason="too_large")
    assert f"{INCOMING}/{image_id}" not in read
    assert quarantined(receipts, image_id).data == b""


def test_a_repeated_event_makes_something_new(receipts: UploadStore) -> None:
    good, bad = upload(receipts, from_a_camera()), upload(receipts, b"text")
    validate(receipts, good), validate(receipts, bad)
    before = {stored.key: stored.etag for stored in receipts.object_writer.store.list("")}
    assert validate(receipts, good) == Outcome("repeated", good)
    assert validate(receipts, bad) == Outcome("repeated", bad)
    assert {stored.key: stored.etag for stored in receipts.object_writer.store.list("")} == before


def test_an_event_of_nothing_is_taken_for_judged(receipts: UploadStore) -> None:
    image_id = new_image_id(datetime.now(UTC))
    assert validate(receipts, image_id) == Outcome("gone", image_id)
    assert not list(receipts.object_writer.store.list(""))


class Dies(Exception):
    """Stands in for a process that ends here."""


@pytest.mark.parametrize("data", [from_a_camera(), b"text"], ids=["good", "bad"])
def test_the_upload_goes_before_what_was_made_of_it_rests(
    receipts: UploadStore, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """A process dies at each of its writes in turn: the upload is there until its end is, and the next event finishes it."""
    image_id = upload(receipts, data)
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
            validate(receipts, image_id)
        except Dies:
            assert keys(receipts, INCOMING) == [f"{INCOMING}/{image_id}"]
        else:
            assert writes_left > 1
            break
    assert not keys(receipts, INCOMING)
    assert len(keys(receipts, IMAGES) + keys(receipts, QUARANTINE)) == 1


def test_a_second_upload_by_the_same_form_changes_the_photo(receipts: UploadStore) -> None:
    image_id = upload(receipts, from_a_camera("red"))
    validate(receipts, image_id)
    before = photo_in(receipts, image_id)
    upload(receipts, from_a_camera("blue"), image_id=image_id)
    assert validate(receipts, image_id) == Outcome("repeated", image_id, image_id)
    assert photo_in(receipts, image_id) == before
    assert not keys(receipts, INCOMING)


def test_who_sent_a_bad_photo_cannot_send_a_good_one(receipts: UploadStore) -> None:
    image_id = upload(receipts, b"text")
    validate(receipts, image_id)
    upload(receipts, from_a_camera(), image_id=image_id)
    assert validate(receipts, image_id).ending == "accepted"
    assert photo_in(receipts, image_id).metadata["camera"] == "CanaryWorks Model 7"


def test_the_same_bytes_become_two_photos(receipts: UploadStore) -> None:
    first, second, strangers = (
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera(), STRANGER),
    )
    validate(receipts, first)
    assert validate(receipts, second) == Outcome("same", second, first)
    assert validate(receipts, second) == Outcome("repeated", second)
    assert (receipts.photo_of(second), receipts.photo_of(first)) == (first, first)
    assert validate(receipts, strangers) == Outcome("accepted", strangers, strangers)
    assert sorted(keys(receipts, IMAGES)) == sorted([photo_key(first), photo_key(strangers)])
    assert not keys(receipts, INCOMING)


def test_a_form_makes_two_photos_when_its_first_upload_was_a_known_one(receipts: UploadStore) -> None:
    """Its second would rest under the form's name, which leads to the first's photo: there it could not be erased."""
    first, second = upload(receipts, from_a_camera("red")), upload(receipts, from_a_camera("red"))
    validate(receipts, first), validate(receipts, second)
    upload(receipts, from_a_camera("blue"), image_id=second)
    assert validate(receipts, second) == Outcome("repeated", second, first)
    assert keys(receipts, IMAGES) == [photo_key(first)]
    assert not keys(receipts, INCOMING)


class Meanwhile:
    """An sanitizer during whose work something else happens."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    async def sanitize(self, data: bytes) -> Accepted | Refused:
        self._happens()
        return await InProcessSanitizer(sanitizer_options(load_settings().photos)).sanitize(data)


def test_an_erasure_that_is_asked_for_while_the_upload_is_judged_misses_its_photo(receipts: UploadStore) -> None:
    first, second, own = (
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera("blue")),
    )
    validate(receipts, first)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    for image_id, outcome in (
        (second, Outcome("same", second, first)),
        (own, Outcome("accepted", own, own)),
    ):
        sanitizer = Meanwhile(lambda image_id=image_id: receipts.ask_erasure(image_id, OWNER, asked_at))
        assert validate(receipts, image_id, sanitizer) == outcome
    assert (receipts.erasure_of(first), receipts.erasure_of(own)) == (asked_at, asked_at)


def test_an_erasure_that_was_asked_for_before_the_judge_died_misses_its_photo(receipts: UploadStore) -> None:
    """It had found out whose photo the upload is, and no more."""
    first, second = upload(receipts, from_a_camera()), upload(receipts, from_a_camera())
    validate(receipts, first)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    receipts.object_writer.put(f"{SAME}/{second}", first.encode(), {})
    receipts.object_writer.create(
        f"{ERASURES}/{second}.json", json.dumps({"owner": OWNER, "asked_at": asked_at.isoformat()}).encode()
    )
    validate(receipts, second)
    assert receipts.erasure_of(first) == asked_at


def test_an_erasure_that_is_recorded_after_the_judge_looked_misses_its_photo(receipts: UploadStore) -> None:
    """Who asked had looked for the photo's name before the judge knew it."""
    first, second = upload(receipts, from_a_camera()), upload(receipts, from_a_camera())
    validate(receipts, first), validate(receipts, second)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    receipts.ask_erasure(second, OWNER, asked_at)
    assert receipts.erasure_of(first) == asked_at


def test_an_upload_that_came_while_another_was_judged_goes_unread(receipts: UploadStore) -> None:
    image_id = upload(receipts, b"text")
    sanitizer = Meanwhile(lambda: upload(receipts, from_a_camera(), image_id=image_id))
    assert validate(receipts, image_id, sanitizer).ending == "refused"
    assert keys(receipts, INCOMING) == [f"{INCOMING}/{image_id}"]
    assert validate(receipts, image_id).ending == "accepted"
    assert not keys(receipts, INCOMING)


def test_an_erased_photo_comes_back(receipts: UploadStore) -> None:
    """By the event that was late, and by the same bytes in another form."""
    now = datetime.now(UTC)
    unjudged, first = upload(receipts, from_a_camera("blue")), upload(receipts, from_a_camera())
    receipts.ask_erasure(unjudged, OWNER, now)
    assert validate(receipts, unjudged) == Outcome("erased", unjudged)
    validate(receipts, first)
    receipts.ask_erasure(first, OWNER, now)
    receipts.object_writer.delete(photo_key(first))
    again = upload(receipts, from_a_camera())
    assert validate(receipts, again) == Outcome("erased", again, first)
    assert receipts.photo_of(again) == first
    assert not [key for prefix in (IMAGES, INCOMING, QUARANTINE) for key in keys(receipts, prefix)]


@pytest.mark.parametrize("key", ["images/2026/11/24/{}", "incoming/", "incoming/photo.jpg", "incoming/a/{}", "{}", ""])
def test_an_object_elsewhere_is_judged_and_deleted(disk_lake: LakeUnderTest, key: str) -> None:
    receipts = UploadStore(disk_lake.lake.objects)
    key = key.format(new_image_id(datetime.now(UTC)))
    if not key.endswith("/") and key:
        receipts.object_writer.put(key, from_a_camera(), {"owner": OWNER})
    sanitizer = InProcessSanitizer(sanitizer_options(load_settings().photos))
    assert asyncio.run(validate_incoming(receipts, sanitizer, key, MAX_BYTES)) == Outcome("ignored")
    assert not key or key.endswith("/") or receipts.object_writer.store.exists(key)


def test_two_that_judge_one_upload_at_once_spoil_it(receipts: UploadStore) -> None:
    image_id = upload(receipts, from_a_camera())
    sanitizer = InProcessSanitizer(sanitizer_options(load_settings().photos))

    class Slowly:
        """Hands the turn to the other when both have read the upload."""

        async def sanitize(self, data: bytes):
            await asyncio.sleep(0.01)
            return await sanitizer.sanitize(data)

    async def both() -> list[Outcome]:
        judged = (validate_incoming(receipts, Slowly(), f"{INCOMING}/{image_id}", MAX_BYTES) for _ in range(2))
        return await asyncio.gather(*judged)

    assert asyncio.run(both()) == [Outcome("accepted", image_id, image_id)] * 2
    assert photo_in(receipts, image_id).metadata["owner"] == OWNER
    assert not keys(receipts, INCOMING)


def test_one_bad_upload_keeps_all_others_from_being_judged(
    receipts: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, broken, after = (upload(receipts, from_a_camera(colour)) for colour in ("red", "green", "blue"))
    receipts.object_writer.put(f"{INCOMING}/not-ours", from_a_camera(), {})
    take = UploadStore.take

    def take_but_one(self: UploadStore, accepted: Accepted, owner: str, image_id: str) -> Receipt:
        if image_id == broken:
            raise StoreUnavailable("writing: the store says SlowDown")
        return take(self, accepted, owner, image_id)

    def validate_photo() -> dict[str, int]:
        return asyncio.run(
            validate_all_incoming(receipts, InProcessSanitizer(sanitizer_options(load_settings().photos)), MAX_BYTES)
        )

    monkeypatch.setattr(UploadStore, "take", take_but_one)
    assert validate_photo() == {"accepted": 2, "failed": 1, "ignored": 1}
    assert sorted(keys(receipts, IMAGES)) == [photo_key(before), photo_key(after)]
    monkeypatch.setattr(UploadStore, "take", take)
    assert validate_photo() == {"accepted": 1, "ignored": 1}
    assert validate_photo() == {"ignored": 1}


def test_a_judge_gives_up_when_the_store_was_down_once(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    receipts = UploadStore(disk_lake.lake.objects)
    image_id = upload(receipts, from_a_camera())
    list_all, listed = ObjectStore.list, []

    def fail_once(self: ObjectStore, prefix: str) -> Iterator[StoredObject]:
        listed.append(prefix)
        if len(listed) == 1:
            raise StoreUnavailable("listing: the store says SlowDown")
        return list_all(self, prefix)

    monkeypatch.setattr(ObjectStore, "list", fail_once)

    async def judge_until_it_is_a_photo() -> None:
        judging = asyncio.create_task(
            validate_incoming_every(
                0.01, receipts, InProcessSanitizer(sanitizer_options(load_settings().photos)), MAX_BYTES
            )
        )
        async with asyncio.timeout(60):
            while not receipts.object_writer.store.exists(photo_key(image_id)):
                await asyncio.sleep(0.01)
        judging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await judging

    asyncio.run(judge_until_it_is_a_photo())
    assert "SlowDown" in capsys.readouterr().err


def test_a_store_that_is_down_ends_an_upload() -> None:
    impatient = dataclasses.replace(RetryOptions(), tries_again=0)
    config = {
        "endpoint": f"http://127.0.0.1:{refusing_port()}",
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
    }
    receipts = UploadStore(ObjectStore("s3://shelf/lake", config, impatient))
    with pytest.raises(StoreUnavailable):
        validate(receipts, new_image_id(datetime.now(UTC)))
