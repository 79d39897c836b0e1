"""Bad photos: each becomes a row with a reason; too many of them stop the day before it reaches the marts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from shelf_assets.defs.running import RunFailed
from shelf_assets.lake.object_store import day_prefix
from shelf_assets_tests.stories.fakes import ColourPredictor
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.support import DAY, NEXT_DAY, Platform, undecodable


def test_corrupt_photo_does_not_fail_its_day(shop: Platform) -> None:
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


def test_an_object_with_an_unsupported_key_is_a_rejected_row_and_its_day_goes_on(shop: Platform) -> None:
    shop.land(DAY, {"good": photo(1)})
    odd = f"{day_prefix(DAY)}line\nbreak.jpg"
    (shop.settings.lake.folder / odd).write_bytes(photo(2))
    shop.run(DAY)

    [row] = shop.rows("raw_images").filter(key=odd).iter_rows(named=True)
    assert (row["status"], row["reason"], row["sha256"]) == ("rejected", "unsupported_key", None)
    assert "another key" in row["reason_detail"]
    assert shop.rows("classifications").height == 1
    version = shop.lake.table("raw_images").version()
    shop.run(DAY)
    assert shop.lake.table("raw_images").version() == version, "the object must not be read again"


def test_vanished_photo_is_recorded_and_does_not_stop_its_day(shop: Platform) -> None:
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    shop.drop_tensors(DAY)
    shop.lake.objects.delete(keys[:1])

    shop.run(DAY, stages=["image_tensors", "classifications", "clip_embeddings"])

    gone = shop.tensors(DAY).filter(reason="gone")
    assert gone.height == 1
    assert shop.statuses(DAY) == {"accepted": 4}
    assert shop.rows("classifications").height == 3


def test_day_with_too_many_failures_gets_no_predictions(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    undecodable(monkeypatch, photo(1), photo(2))
    shop.land(DAY, photos(range(4)))

    with pytest.raises(RunFailed, match="every_photo_is_a_tensor_or_a_reason") as failed:
        shop.run(DAY)

    assert str(DAY) in str(failed.value)
    assert shop.rows("classifications").is_empty()
    assert shop.rows("clip_embeddings").is_empty()


def test_failed_day_does_not_stop_other_days(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [DAY, NEXT_DAY, NEXT_DAY + timedelta(days=1)]
    for number, day in enumerate(days):
        shop.land(day, photos([number]))
    undecodable(monkeypatch, photo(1))

    with pytest.raises(RunFailed, match="2 of 3 runs succeeded") as failed:
        shop.run(*days)

    assert str(NEXT_DAY) in str(failed.value)
    assert sorted(shop.rows("classifications")["day"]) == [days[0], days[2]]


def test_returned_photo_is_predicted(shop: Platform) -> None:
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    data = shop.lake.objects.get(keys[0])
    shop.drop_tensors(DAY)
    shop.lake.objects.delete(keys[:1])
    shop.run(DAY)
    assert shop.rows("classifications").height == 3

    shop.overwrite(DAY, keys[0], data)
    shop.run(DAY)

    assert shop.tensors(DAY)["reason"].null_count() == 4
    assert shop.rows("classifications").height == 4


def test_photo_without_tensor_loads_no_model(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    shop.drop_tensors(DAY)
    shop.lake.objects.delete(keys[:1])
    later = ["image_tensors", "classifications", "clip_embeddings"]
    shop.run(DAY, stages=later)

    def refuse(_: ColourPredictor) -> str:
        raise AssertionError("nothing can be inferred: the model must not be loaded")

    monkeypatch.setattr(ColourPredictor, "device", refuse)
    shop.run(DAY, stages=later)


def test_failed_model_is_closed(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(DAY, photos(range(4)))
    closed: list[str] = []

    def fails(predictor: ColourPredictor, pixels: np.ndarray) -> None:
        raise RuntimeError("the device was lost")

    monkeypatch.setattr(ColourPredictor, "columns_of", fails)
    monkeypatch.setattr(ColourPredictor, "close", lambda predictor: closed.append(predictor.asset))

    with pytest.raises(RunFailed, match="device was lost"):
        shop.run(DAY)

    assert sorted(closed) == ["classifications", "clip_embeddings"]
