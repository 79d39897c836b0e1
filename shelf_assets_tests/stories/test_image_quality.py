"""A day that was finished without `image_quality`: the next run computes it from stored tensors, a further run does nothing."""

from __future__ import annotations

import pytest

from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.observe.photo_history import photo_history
from shelf_assets.registry import STAGE_NAMES
from shelf_assets_tests.stories.photos import photos
from shelf_assets_tests.stories.support import DAY, Platform


def test_a_finished_day_is_measured_once_from_its_tensors(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = shop.land(DAY, photos(range(3)))
    shop.run(DAY, stages=[name for name in STAGE_NAMES if name != "image_quality"])
    read: list[str] = []
    get = ObjectStore.get
    monkeypatch.setattr(ObjectStore, "get", lambda store, key: (read.append(key), get(store, key))[1])

    (run,) = shop.run(DAY)
    assert shop.work(run) == {"image_quality": 3}
    assert (
        shop.rows("image_quality", DAY)
        .select("image_id", "sha256")
        .sort("image_id")
        .equals(shop.rows("raw_images", DAY).select("image_id", "sha256").sort("image_id"))
    )
    assert not set(read) & set(keys), "photos must be measured from stored tensors, without reading them again"

    (again,) = shop.run(DAY)
    assert shop.work(again) == {}
    assert shop.metadata("image_quality")["inferred_now"] == 0


def test_the_history_of_a_photo_shows_its_quality(shop: Platform) -> None:
    shop.land(DAY, photos(range(1)))
    shop.run(DAY)
    (image_id,) = shop.rows("raw_images", DAY)["image_id"]
    events = dict(photo_history(shop.lake, image_id))
    assert 0 < events["image_quality by image-quality-1"]["brightness_mean"] < 255
