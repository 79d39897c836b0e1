"""Presigned uploads that were put: each ends as a photo or in quarantine, whatever is repeated, late or cut short."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from shelf_assets.intake.decoders import Examiner, ExaminerHere, examination
from shelf_assets.intake.incoming import Outcome, judge_all, judge_every, judge_incoming
from shelf_assets.intake.rebuild import Accepted, Refused
from shelf_assets.intake.receipts import (
    ERASURES,
    INCOMING,
    QUARANTINE,
    SAME,
    Receipt,
    Receipts,
    new_image_id,
    photo_key,
    quarantine_key,
    received_at_of,
)
from shelf_assets.intake.rules import BY_REASON
from shelf_assets.lake.deposits import Deposit, Deposits
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import IMAGES, ObjectStore, Patience, StoredObject
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.servers import refusing_port
from shelf_assets_tests.vision.pictures import from_a_camera

OWNER, STRANGER = "ab" * 16, "cd" * 16
MAX_BYTES = 200_000


@pytest.fixture
def receipts(lake: LakeUnderTest) -> Receipts:
    return Receipts(lake.lake.objects)


def upload(receipts: Receipts, data: bytes, owner: str | None = OWNER, image_id: str | None = None) -> str:
    """What a form leaves behind."""
    image_id = image_id or new_image_id(datetime.now(UTC))
    receipts.deposits.put(f"{INCOMING}/{image_id}", data, {"owner": owner} if owner else {})
    return image_id


def judge(receipts: Receipts, image_id: str, examiner: Examiner | None = None) -> Outcome:
    examiner = examiner or ExaminerHere(examination(load_settings()))
    return asyncio.run(judge_incoming(receipts, examiner, f"{INCOMING}/{image_id}", MAX_BYTES))


def photo_in(receipts: Receipts, image_id: str) -> Deposit:
    deposit = receipts.deposits.find(photo_key(image_id))
    assert deposit is not None
    return deposit


def quarantined(receipts: Receipts, image_id: str) -> Deposit:
    deposit = receipts.deposits.find(quarantine_key(received_at_of(image_id).date(), image_id))
    assert deposit is not None
    return deposit


def keys(receipts: Receipts, prefix: str) -> list[str]:
    return [stored.key for stored in receipts.deposits.store.list(f"{prefix}/")]


def test_an_upload_is_kept_as_it_came_or_under_another_name(receipts: Receipts) -> None:
    image_id = upload(receipts, from_a_camera())
    assert judge(receipts, image_id) == Outcome("accepted", image_id, image_id)
    kept = photo_in(receipts, image_id)
    assert b"Canary" not in kept.data and b"Exif" not in kept.data
    assert (kept.facts["owner"], kept.facts["camera"]) == (OWNER, "CanaryWorks Model 7")
    assert not keys(receipts, INCOMING) and not keys(receipts, QUARANTINE)


def test_a_refused_upload_is_lost_or_its_original_stays(receipts: Receipts) -> None:
    image_id = upload(receipts, b"MZ" + from_a_camera())
    assert judge(receipts, image_id) == Outcome("refused", image_id, reason="not_an_image")
    kept = quarantined(receipts, image_id)
    assert kept.data == b"MZ" + from_a_camera()
    assert (kept.facts["owner"], kept.facts["reason"]) == (OWNER, "not_an_image")
    assert not keys(receipts, INCOMING) and not keys(receipts, IMAGES)


@pytest.mark.parametrize("owner", [None, "", "Jane Doe", OWNER.upper()])
def test_an_object_that_no_form_put_becomes_a_photo(receipts: Receipts, owner: str | None) -> None:
    image_id = upload(receipts, from_a_camera(), owner)
    assert judge(receipts, image_id) == Outcome("refused", image_id, reason="no_owner")
    assert quarantined(receipts, image_id).facts["reason"] == "no_owner"
    assert BY_REASON["no_owner"].sentence
    assert not keys(receipts, IMAGES)


def test_an_upload_that_no_form_takes_is_read_into_memory(receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = upload(receipts, b"\xff\xd8\xff" + bytes(MAX_BYTES))
    read: list[str] = []
    find = Deposits.find
    monkeypatch.setattr(Deposits, "find", lambda self, key: (read.append(key), find(self, key))[1])
    assert judge(receipts, image_id) == Outcome("refused", image_id, reason="too_large")
    assert f"{INCOMING}/{image_id}" not in read
    assert quarantined(receipts, image_id).data == b""


def test_a_repeated_event_makes_something_new(receipts: Receipts) -> None:
    good, bad = upload(receipts, from_a_camera()), upload(receipts, b"text")
    judge(receipts, good), judge(receipts, bad)
    before = {stored.key: stored.etag for stored in receipts.deposits.store.list("")}
    assert judge(receipts, good) == Outcome("repeated", good)
    assert judge(receipts, bad) == Outcome("repeated", bad)
    assert {stored.key: stored.etag for stored in receipts.deposits.store.list("")} == before


def test_an_event_of_nothing_is_taken_for_judged(receipts: Receipts) -> None:
    image_id = new_image_id(datetime.now(UTC))
    assert judge(receipts, image_id) == Outcome("gone", image_id)
    assert not list(receipts.deposits.store.list(""))


class Dies(Exception):
    """Stands in for a process that ends here."""


@pytest.mark.parametrize("data", [from_a_camera(), b"text"], ids=["good", "bad"])
def test_the_upload_goes_before_what_was_made_of_it_rests(
    receipts: Receipts, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """A process dies at each of its writes in turn: the upload is there until its end is, and the next event finishes it."""
    image_id = upload(receipts, data)
    put, create, delete = Deposits.put, Deposits.create, Deposits.delete
    for writes_left in range(10):
        left = [writes_left]

        def dying(method, left=left):
            def call(self, *arguments, **named):
                if not left[0]:
                    raise Dies
                left[0] -= 1
                return method(self, *arguments, **named)

            return call

        monkeypatch.setattr(Deposits, "put", dying(put))
        monkeypatch.setattr(Deposits, "create", dying(create))
        monkeypatch.setattr(Deposits, "delete", dying(delete))
        try:
            judge(receipts, image_id)
        except Dies:
            assert keys(receipts, INCOMING) == [f"{INCOMING}/{image_id}"]
        else:
            assert writes_left > 1
            break
    assert not keys(receipts, INCOMING)
    assert len(keys(receipts, IMAGES) + keys(receipts, QUARANTINE)) == 1


def test_a_second_upload_by_the_same_form_changes_the_photo(receipts: Receipts) -> None:
    image_id = upload(receipts, from_a_camera("red"))
    judge(receipts, image_id)
    before = photo_in(receipts, image_id)
    upload(receipts, from_a_camera("blue"), image_id=image_id)
    assert judge(receipts, image_id) == Outcome("repeated", image_id, image_id)
    assert photo_in(receipts, image_id) == before
    assert not keys(receipts, INCOMING)


def test_who_sent_a_bad_photo_cannot_send_a_good_one(receipts: Receipts) -> None:
    image_id = upload(receipts, b"text")
    judge(receipts, image_id)
    upload(receipts, from_a_camera(), image_id=image_id)
    assert judge(receipts, image_id).ending == "accepted"
    assert photo_in(receipts, image_id).facts["camera"] == "CanaryWorks Model 7"


def test_the_same_bytes_become_two_photos(receipts: Receipts) -> None:
    first, second, strangers = (
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera(), STRANGER),
    )
    judge(receipts, first)
    assert judge(receipts, second) == Outcome("same", second, first)
    assert judge(receipts, second) == Outcome("repeated", second)
    assert (receipts.photo_of(second), receipts.photo_of(first)) == (first, first)
    assert judge(receipts, strangers) == Outcome("accepted", strangers, strangers)
    assert sorted(keys(receipts, IMAGES)) == sorted([photo_key(first), photo_key(strangers)])
    assert not keys(receipts, INCOMING)


def test_a_form_makes_two_photos_when_its_first_upload_was_a_known_one(receipts: Receipts) -> None:
    """Its second would rest under the form's name, which leads to the first's photo: there it could not be erased."""
    first, second = upload(receipts, from_a_camera("red")), upload(receipts, from_a_camera("red"))
    judge(receipts, first), judge(receipts, second)
    upload(receipts, from_a_camera("blue"), image_id=second)
    assert judge(receipts, second) == Outcome("repeated", second, first)
    assert keys(receipts, IMAGES) == [photo_key(first)]
    assert not keys(receipts, INCOMING)


class Meanwhile:
    """An examiner during whose work something else happens."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    async def examine(self, data: bytes) -> Accepted | Refused:
        self._happens()
        return await ExaminerHere(examination(load_settings())).examine(data)


def test_an_erasure_that_is_asked_for_while_the_upload_is_judged_misses_its_photo(receipts: Receipts) -> None:
    first, second, own = (
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera()),
        upload(receipts, from_a_camera("blue")),
    )
    judge(receipts, first)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    for image_id, outcome in (
        (second, Outcome("same", second, first)),
        (own, Outcome("accepted", own, own)),
    ):
        examiner = Meanwhile(lambda image_id=image_id: receipts.ask_erasure(image_id, OWNER, asked_at))
        assert judge(receipts, image_id, examiner) == outcome
    assert (receipts.erasure_of(first), receipts.erasure_of(own)) == (asked_at, asked_at)


def test_an_erasure_that_was_asked_for_before_the_judge_died_misses_its_photo(receipts: Receipts) -> None:
    """It had found out whose photo the upload is, and no more."""
    first, second = upload(receipts, from_a_camera()), upload(receipts, from_a_camera())
    judge(receipts, first)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    receipts.deposits.put(f"{SAME}/{second}", first.encode(), {})
    receipts.deposits.create(
        f"{ERASURES}/{second}.json", json.dumps({"owner": OWNER, "asked_at": asked_at.isoformat()}).encode()
    )
    judge(receipts, second)
    assert receipts.erasure_of(first) == asked_at


def test_an_erasure_that_is_recorded_after_the_judge_looked_misses_its_photo(receipts: Receipts) -> None:
    """Who asked had looked for the photo's name before the judge knew it."""
    first, second = upload(receipts, from_a_camera()), upload(receipts, from_a_camera())
    judge(receipts, first), judge(receipts, second)
    asked_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    receipts.ask_erasure(second, OWNER, asked_at)
    assert receipts.erasure_of(first) == asked_at


def test_an_upload_that_came_while_another_was_judged_goes_unread(receipts: Receipts) -> None:
    image_id = upload(receipts, b"text")
    examiner = Meanwhile(lambda: upload(receipts, from_a_camera(), image_id=image_id))
    assert judge(receipts, image_id, examiner).ending == "refused"
    assert keys(receipts, INCOMING) == [f"{INCOMING}/{image_id}"]
    assert judge(receipts, image_id).ending == "accepted"
    assert not keys(receipts, INCOMING)


def test_an_erased_photo_comes_back(receipts: Receipts) -> None:
    """By the event that was late, and by the same bytes in another form."""
    now = datetime.now(UTC)
    unjudged, first = upload(receipts, from_a_camera("blue")), upload(receipts, from_a_camera())
    receipts.ask_erasure(unjudged, OWNER, now)
    assert judge(receipts, unjudged) == Outcome("erased", unjudged)
    judge(receipts, first)
    receipts.ask_erasure(first, OWNER, now)
    receipts.deposits.delete(photo_key(first))
    again = upload(receipts, from_a_camera())
    assert judge(receipts, again) == Outcome("erased", again, first)
    assert receipts.photo_of(again) == first
    assert not [key for prefix in (IMAGES, INCOMING, QUARANTINE) for key in keys(receipts, prefix)]


@pytest.mark.parametrize("key", ["images/2026/11/24/{}", "incoming/", "incoming/photo.jpg", "incoming/a/{}", "{}", ""])
def test_an_object_elsewhere_is_judged_and_deleted(disk_lake: LakeUnderTest, key: str) -> None:
    receipts = Receipts(disk_lake.lake.objects)
    key = key.format(new_image_id(datetime.now(UTC)))
    if not key.endswith("/") and key:
        receipts.deposits.put(key, from_a_camera(), {"owner": OWNER})
    examiner = ExaminerHere(examination(load_settings()))
    assert asyncio.run(judge_incoming(receipts, examiner, key, MAX_BYTES)) == Outcome("ignored")
    assert not key or key.endswith("/") or receipts.deposits.store.exists(key)


def test_two_that_judge_one_upload_at_once_spoil_it(receipts: Receipts) -> None:
    image_id = upload(receipts, from_a_camera())
    examiner = ExaminerHere(examination(load_settings()))

    class Slowly:
        """Hands the turn to the other when both have read the upload."""

        async def examine(self, data: bytes):
            await asyncio.sleep(0.01)
            return await examiner.examine(data)

    async def both() -> list[Outcome]:
        judged = (judge_incoming(receipts, Slowly(), f"{INCOMING}/{image_id}", MAX_BYTES) for _ in range(2))
        return await asyncio.gather(*judged)

    assert asyncio.run(both()) == [Outcome("accepted", image_id, image_id)] * 2
    assert photo_in(receipts, image_id).facts["owner"] == OWNER
    assert not keys(receipts, INCOMING)


def test_one_bad_upload_keeps_all_others_from_being_judged(receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> None:
    before, broken, after = (upload(receipts, from_a_camera(colour)) for colour in ("red", "green", "blue"))
    receipts.deposits.put(f"{INCOMING}/not-ours", from_a_camera(), {})
    take = Receipts.take

    def take_but_one(self: Receipts, accepted: Accepted, owner: str, image_id: str) -> Receipt:
        if image_id == broken:
            raise StoreUnavailable("writing: the store says SlowDown")
        return take(self, accepted, owner, image_id)

    def judged() -> dict[str, int]:
        return asyncio.run(judge_all(receipts, ExaminerHere(examination(load_settings())), MAX_BYTES))

    monkeypatch.setattr(Receipts, "take", take_but_one)
    assert judged() == {"accepted": 2, "failed": 1, "ignored": 1}
    assert sorted(keys(receipts, IMAGES)) == [photo_key(before), photo_key(after)]
    monkeypatch.setattr(Receipts, "take", take)
    assert judged() == {"accepted": 1, "ignored": 1}
    assert judged() == {"ignored": 1}


def test_a_judge_gives_up_when_the_store_was_down_once(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    receipts = Receipts(disk_lake.lake.objects)
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
            judge_every(0.01, receipts, ExaminerHere(examination(load_settings())), MAX_BYTES)
        )
        async with asyncio.timeout(60):
            while not receipts.deposits.store.exists(photo_key(image_id)):
                await asyncio.sleep(0.01)
        judging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await judging

    asyncio.run(judge_until_it_is_a_photo())
    assert "SlowDown" in capsys.readouterr().err


def test_a_store_that_is_down_ends_an_upload() -> None:
    impatient = dataclasses.replace(Patience(), tries_again=0)
    config = {
        "endpoint": f"http://127.0.0.1:{refusing_port()}",
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
    }
    receipts = Receipts(ObjectStore("s3://shelf/lake", config, impatient))
    with pytest.raises(StoreUnavailable):
        judge(receipts, new_image_id(datetime.now(UTC)))
