"""Claims whose photo is missing: what is sent again lands on its own day, and what was erased stays away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shelf_assets.intake.upload_store import Erased, UploadStore, new_image_id, photo_key
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import IMAGES
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.photos.sanitizer import SanitizedPhoto
from shelf_assets_tests.conftest import LakeUnderTest

OWNER = "ab" * 16
SENT = datetime(2026, 11, 24, 10, tzinfo=UTC)
PHOTO = SanitizedPhoto(b"jpeg", 4, 3, "12" * 32, {"camera": "CanaryWorks Model 7"})


@pytest.fixture
def receipts(lake: LakeUnderTest) -> UploadStore:
    return UploadStore(lake.lake.objects)


def photo_keys(receipts: UploadStore) -> list[str]:
    return [stored.key for stored in receipts.object_writer.store.list(f"{IMAGES}/")]


def fail_between_claim_and_photo(receipts: UploadStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a store leaves behind that takes the claim, and then fails."""
    image_id = new_image_id(SENT)

    def fail(*_: object) -> None:
        raise StoreUnavailable("writing: the store says SlowDown")

    with monkeypatch.context() as failing, pytest.raises(StoreUnavailable):
        failing.setattr(ObjectWriter, "put", fail)
        receipts.take(PHOTO, OWNER, image_id)
    assert not photo_keys(receipts)
    return image_id


def test_a_photo_that_is_sent_again_weeks_later_lands_where_nobody_looks_any_more(
    receipts: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_between_claim_and_photo(receipts, monkeypatch)
    weeks_later = new_image_id(SENT + timedelta(days=30))
    receipt = receipts.take(PHOTO, OWNER, weeks_later)
    assert (receipt.image_id, receipt.is_new, receipt.day.isoformat()) == (weeks_later, True, "2026-12-24")
    again = receipts.take(PHOTO, OWNER, new_image_id(SENT + timedelta(days=60)))
    assert (again.image_id, again.is_new) == (weeks_later, False)
    assert photo_keys(receipts) == [photo_key(weeks_later)]


def test_a_photo_that_is_sent_again_at_once_gets_a_second_name(
    receipts: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first sender may be storing it at this moment."""
    first = fail_between_claim_and_photo(receipts, monkeypatch)
    assert receipts.take(PHOTO, OWNER, new_image_id(SENT + timedelta(hours=1))).image_id == first
    assert photo_keys(receipts) == [photo_key(first)]


@pytest.mark.parametrize("days", [0, 30])
def test_an_erased_photo_comes_back_when_it_is_sent_again(receipts: UploadStore, days: int) -> None:
    first = receipts.take(PHOTO, OWNER, new_image_id(SENT)).image_id
    receipts.ask_erasure(first, OWNER, SENT)
    receipts.object_writer.delete(photo_key(first))
    with pytest.raises(Erased, match=first):
        receipts.take(PHOTO, OWNER, new_image_id(SENT + timedelta(days=days)))
    assert not photo_keys(receipts)


def test_a_photo_whose_time_was_over_does_not_come_in_again(receipts: UploadStore) -> None:
    """Retention removed it; its owner may send it once more, and it is a photo of the day that it is sent on."""
    first = receipts.take(PHOTO, OWNER, new_image_id(SENT)).image_id
    receipts.object_writer.delete(photo_key(first))
    later = new_image_id(SENT + timedelta(days=400))
    assert receipts.take(PHOTO, OWNER, later).image_id == later
    assert photo_keys(receipts) == [photo_key(later)]
