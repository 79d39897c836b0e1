"""One decode for all models: how often a photo is read and decoded, with and without stored tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.photos import rules
from shelf_assets.vision import decode, preprocess
from shelf_assets.vision.headers import Header
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.support import DAY, PREDICTIONS, STAGES, WORKING, Platform, assert_same


class Work:
    """Counts reads and decodes of each photo, and reads of each tensor index."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: Counter[str] = Counter()
        self.decodes: Counter[bytes] = Counter()
        self.index_reads: Counter[str] = Counter()
        get, decoded = ObjectStore.get, decode.decoded

        def counting_get(store: ObjectStore, key: str) -> bytes:
            if key.startswith("images/"):
                self.reads[key] += 1
            if key.startswith("tensors/") and key.endswith(".json"):
                self.index_reads[key] += 1
            return get(store, key)

        @contextmanager
        def counting_decoded(data: bytes, header: Header, shrink: int) -> Iterator[np.ndarray]:
            self.decodes[data] += 1
            with decoded(data, header, shrink) as picture:
                yield picture

        monkeypatch.setattr(ObjectStore, "get", counting_get)
        for module in (rules, preprocess):
            monkeypatch.setattr(module, "decoded", counting_decoded)

    def clear(self) -> None:
        self.reads.clear()
        self.decodes.clear()
        self.index_reads.clear()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def redecoding(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    return shop.with_settings(vision__tensors="redecode")


def test_photo_is_read_and_decoded_once(shop: Platform, work: Work) -> None:
    shop.land(DAY, {**photos(range(4)), "cut short": truncated()})
    shop.run(DAY)

    assert set(work.reads.values()) == {1} and len(work.reads) == 5
    assert set(work.decodes.values()) == {1} and len(work.decodes) == 5
    assert shop.rows("clip_embeddings").height == 4


def test_new_model_reads_stored_tensors_without_decoding(shop: Platform, work: Work) -> None:
    shop.land(DAY, photos(range(4)))
    shop.run(DAY)
    work.clear()

    shop.with_models(2).run(DAY)

    assert not work.reads and not work.decodes
    assert shop.rows("classifications").height == 8


def test_shard_index_is_read_a_fixed_number_of_times(shop: Platform, work: Work) -> None:
    shop.land(DAY, photos(range(6)))
    shop.run(DAY)
    work.clear()

    shop.with_models(2).run(DAY, stages=PREDICTIONS)

    # One read for the predictions of all models, and one for each table's check.
    assert set(work.index_reads.values()) == {1 + len(PREDICTIONS)} and len(work.index_reads) == 3


def test_two_models_share_one_decode_without_stored_tensors(shop: Platform, work: Work) -> None:
    shop.land(DAY, photos(range(4)))
    shop.run(DAY, stages=["raw_images"])
    shop.drop_tensors(DAY)
    work.clear()

    shop.run(DAY, stages=PREDICTIONS)

    assert set(work.decodes.values()) == {1} and len(work.decodes) == 4
    assert shop.tensors(DAY)["reason"].null_count() == 4, "tensors that the predictions have decoded must be stored"
    assert shop.rows("classifications").height == shop.rows("clip_embeddings").height == 4


def test_predictions_are_equal_from_stored_and_decoded_pixels(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(DAY, {**photos(range(5)), "again": photo(0), "cut short": truncated()})
    shop.run(DAY)
    stored = shop.snapshot()
    for table in PREDICTIONS:
        (shop.settings.lake.folder / "tables" / table).rename(shop.settings.lake.folder / f"{table} of stored tensors")
    shop.drop_tensors(DAY)

    again = redecoding(shop, monkeypatch)
    again.run(DAY)

    assert_same(again.snapshot(), stored)
    assert again.tensors(DAY).is_empty(), "the settings say that no tensors are stored"


def test_day_without_stored_tensors_passes_its_checks(
    shop: Platform, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = redecoding(shop, monkeypatch)
    shop.land(DAY, photos(range(4)))
    (run,) = shop.run(DAY)

    assert shop.work(run) == dict.fromkeys(WORKING, 4)
    # One decode for validation and perceptual hash, and one for both models.
    assert set(work.decodes.values()) == {2}
    work.clear()
    (again,) = shop.run(DAY, stages=STAGES)
    assert shop.work(again) == {} and not work.decodes


def test_photo_that_vanished_after_validation_is_predicted(shop: Platform) -> None:
    """Its tensor was made during validation."""
    keys = shop.land(DAY, photos(range(3)))
    shop.run(DAY, stages=["raw_images"])
    shop.lake.objects.delete(keys[:1])

    shop.run(DAY, stages=STAGES[1:])

    assert shop.rows("classifications").height == 3
