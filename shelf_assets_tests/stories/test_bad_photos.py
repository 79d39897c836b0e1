"""Photos that go wrong: a bad one is a row with a reason, too many of them stop the day before anybody is misled."""

from __future__ import annotations

import pytest

from shelf_assets.running import RunFailed
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.stand_ins import ColourPredictor
from shelf_assets_tests.stories.support import DAY, Shop


def test_one_corrupt_photo_that_fails_the_day(shop: Shop) -> None:
    keys = shop.land(DAY, {"good": photo(1), "cut short": truncated(), "empty": b""})
    shop.run(DAY)

    rows = {row["key"]: row for row in shop.rows("raw_images").iter_rows(named=True)}
    assert [(rows[key]["status"], rows[key]["reason"]) for key in keys] == [
        ("accepted", None),
        ("rejected", "truncated"),
        ("rejected", "empty"),
    ]
    assert all(row["reason_detail"] for row in rows.values() if row["status"] == "rejected")
    assert shop.rows("classifications")["image_id"].to_list() == [rows[keys[0]]["image_id"]]


def test_a_photo_that_vanishes_without_a_trace(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_DECODE_FAILURE_LIMIT", "0.5")
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    shop.lake.objects.delete(keys[:1])

    shop.run(DAY, stages=["image_tensors", "classifications", "clip_embeddings"])

    gone = shop.tensors(DAY).filter(reason="gone")
    assert gone.height == 1
    assert shop.statuses(DAY) == {"accepted": 4}
    assert shop.rows("classifications").height == 3


def test_predictions_on_a_day_of_which_too_much_is_missing(shop: Shop) -> None:
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    shop.lake.objects.delete(keys[:2])

    with pytest.raises(RunFailed, match="every_photo_is_a_tensor_or_a_reason") as failed:
        shop.run(DAY, stages=["image_tensors", "classifications", "clip_embeddings"])

    assert str(DAY) in str(failed.value)
    assert shop.rows("classifications").is_empty()
    assert shop.rows("clip_embeddings").is_empty()


def test_a_photo_that_comes_back_but_stays_lost(shop: Shop) -> None:
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    data = shop.lake.objects.get(keys[0])
    shop.lake.objects.delete(keys[:1])
    with pytest.raises(RunFailed):
        shop.run(DAY)

    shop.overwrite(DAY, keys[0], data)
    shop.run(DAY)

    assert shop.tensors(DAY)["reason"].null_count() == 4
    assert shop.rows("classifications").height == 4


def test_a_photo_without_tensor_for_which_models_are_loaded_again_and_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELF_DECODE_FAILURE_LIMIT", "0.5")
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    shop.lake.objects.delete(keys[:1])
    later = ["image_tensors", "classifications", "clip_embeddings"]
    shop.run(DAY, stages=later)

    def refuse(_: ColourPredictor) -> str:
        raise AssertionError("nothing can be inferred: the model must not be loaded")

    monkeypatch.setattr(ColourPredictor, "device", refuse)
    shop.run(DAY, stages=later)
