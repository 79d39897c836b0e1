"""Claims without a photo: a photo that is sent again is stored under its new day; an erased one is not stored."""

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
def uploads(lake: LakeUnderTest) -> UploadStore:
    return UploadStore(lake.lake.objects)


def photo_keys(uploads: UploadStore) -> list[str]:
    return [stored.key for stored in uploads.object_writer.store.list(f"{IMAGES}/")]


def fail_between_claim_and_photo(uploads: UploadStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave a claim without a photo: the store fails between the two writes."""
    image_id = new_image_id(SENT)

    def fail(*_: object) -> None:
        raise StoreUnavailable("writing: the store says SlowDown")

    with monkeypatch.context() as failing, pytest.raises(StoreUnavailable):
        failing.setattr(ObjectWriter, "put", fail)
        uploads.accept(PHOTO, OWNER, image_id)
    assert not photo_keys(uploads)
    return image_id


def test_orphaned_claim_is_renewed_on_the_day_of_the_next_upload(
    uploads: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_between_claim_and_photo(uploads, monkeypatch)
    weeks_later = new_image_id(SENT + timedelta(days=30))
    receipt = uploads.accept(PHOTO, OWNER, weeks_later)
    assert (receipt.image_id, receipt.is_new, receipt.day.isoformat()) == (weeks_later, True, "2026-12-24")
    again = uploads.accept(PHOTO, OWNER, new_image_id(SENT + timedelta(days=60)))
    assert (again.image_id, again.is_new) == (weeks_later, False)
    assert photo_keys(uploads) == [photo_key(weeks_later)]


def test_recent_claim_keeps_its_image_id(uploads: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request may be storing the photo at this moment, so both use the claim's image_id."""
    first = fail_between_claim_and_photo(uploads, monkeypatch)
    assert uploads.accept(PHOTO, OWNER, new_image_id(SENT + timedelta(hours=1))).image_id == first
    assert photo_keys(uploads) == [photo_key(first)]


@pytest.mark.parametrize("days", [0, 30])
def test_erased_photo_is_refused_when_sent_again(uploads: UploadStore, days: int) -> None:
    first = uploads.accept(PHOTO, OWNER, new_image_id(SENT)).image_id
    uploads.ask_erasure(first, OWNER, SENT)
    uploads.object_writer.delete(photo_key(first))
    with pytest.raises(Erased, match=first):
        uploads.accept(PHOTO, OWNER, new_image_id(SENT + timedelta(days=days)))
    assert not photo_keys(uploads)


def test_expired_photo_is_accepted_again(uploads: UploadStore) -> None:
    """Retention deleted it; its owner may send it again, and it belongs to the day on which it is sent."""
    first = uploads.accept(PHOTO, OWNER, new_image_id(SENT)).image_id
    uploads.object_writer.delete(photo_key(first))
    later = new_image_id(SENT + timedelta(days=400))
    assert uploads.accept(PHOTO, OWNER, later).image_id == later
    assert photo_keys(uploads) == [photo_key(later)]
