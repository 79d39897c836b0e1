"""Near-duplicates and uploaders: from the upload to the rows of raw_images, and whether near-duplicates are predicted."""

from __future__ import annotations

import io
from datetime import UTC, datetime, time

import polars as pl
import pytest
from PIL import Image

from shelf_assets.intake.upload_store import UploadStore, new_image_id, owner_hash
from shelf_assets.observe.photo_history import photo_history
from shelf_assets.photos.limits import Limits
from shelf_assets.photos.sanitizer import SanitizedPhoto, sanitize
from shelf_assets_tests.stories.support import DAY, NEXT_DAY, PREDICTIONS, Platform
from shelf_assets_tests.vision.pictures import encoded, scene


def recompressed(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return encoded(image.convert("RGB").resize((600, 450)), quality=60)


@pytest.fixture
def picture() -> bytes:
    return encoded(scene(800, 600))


def skipping(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    return shop.with_settings(photos__near_duplicates="skip")


def test_recompressed_picture_joins_its_group(shop: Platform, picture: bytes) -> None:
    shop.land(DAY, {"first": picture, "other": encoded(scene(640, 480))})
    shop.land(NEXT_DAY, {"again": recompressed(picture), "same bytes": picture})
    shop.run(DAY, NEXT_DAY)

    rows = shop.rows("raw_images").sort("received_at")
    first, other, again, same_bytes = rows.iter_rows(named=True)
    assert [row["near_duplicate_group"] for row in (first, again, same_bytes)] == [first["image_id"]] * 3
    assert other["near_duplicate_group"] == other["image_id"]
    assert [row["status"] for row in (first, other, again, same_bytes)] == ["accepted"] * 3 + ["duplicate"]
    assert shop.rows("classifications").height == 3
    assert rows["uploader"].null_count() == 4, "photos that did not come through the upload API have no uploader"


def test_skipped_picture_reaches_no_model(shop: Platform, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = skipping(shop, monkeypatch)
    shop.land(DAY, {"first": picture})
    shop.land(NEXT_DAY, {"again": recompressed(picture), "other": encoded(scene(640, 480))})
    shop.run(DAY, NEXT_DAY)

    assert shop.statuses(NEXT_DAY) == {"accepted": 1, "duplicate": 1}
    for table in PREDICTIONS:
        assert shop.rows(table).height == 2
    versions = shop.versions()
    shop.run(DAY, NEXT_DAY)
    assert shop.versions() == versions, "a skipped photo must not be read again"
    (first,) = shop.rows("raw_images", DAY)["image_id"]
    titles = [title for title, _ in photo_history(shop.lake, first)]
    assert f"a near duplicate was sent on {NEXT_DAY}" in titles, "the photo's history must list its near-duplicate"


def test_perceptual_hash_is_independent_of_stored_tensors(
    shop: Platform, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.land(DAY, {"first": picture})
    shop.run(DAY, stages=["raw_images"])
    again = shop.with_settings(vision__tensors="redecode")
    again.land(NEXT_DAY, {"again": picture + b"one more byte"})
    again.run(NEXT_DAY, stages=["raw_images"])
    assert again.rows("raw_images")["perceptual_hash"].n_unique() == 1
    assert again.rows("raw_images")["near_duplicate_group"].n_unique() == 1


def test_uploader_hash_reaches_raw_images(shop: Platform, picture: bytes) -> None:
    owners = [owner_hash(name, b"key") for name in ("alice", "bob")]
    receipts = UploadStore(shop.lake.objects)
    for owner, data in zip(owners, (picture, encoded(scene(640, 480))), strict=True):
        accepted = sanitize(data, Limits(), 90)
        assert isinstance(accepted, SanitizedPhoto)
        receipts.accept(accepted, owner, new_image_id(datetime.combine(DAY, time(12), UTC)))
    key = shop.land(DAY, {"put by others": encoded(scene(500, 500))})[0]
    receipts.object_writer.put(key, shop.lake.objects.get(key), {"owner": "mallory@example.com"})
    shop.run(DAY, stages=["raw_images"])

    rows = shop.rows("raw_images", DAY)
    assert set(rows["uploader"]) == {*owners, None}
    assert rows.filter(pl.col("uploader").is_null())["key"].to_list() == [key], (
        "an owner that is not a hash must not be stored"
    )
