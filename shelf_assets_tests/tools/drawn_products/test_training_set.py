"""The training set: its lists name the right product for each picture, and the training code can read them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shelf_assets.training.projection_data import Vocabulary, drawn
from tools.drawn_products.draw import draw_product
from tools.drawn_products.products import PRODUCTS
from tools.drawn_products.training_set import write_training_set

SIDE_PX = 96


class CountingTowers:
    """Fake towers: the feature of a photo is its position."""

    def vocabulary(self, fine: list[str], coarse: list[str], coarse_of: np.ndarray) -> Vocabulary:
        vectors = np.zeros((1, len(fine), 4), np.float32)
        return Vocabulary(tuple(fine), tuple(coarse), coarse_of, vectors, vectors)

    def features(self, key: str, count: int, photos: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
        assert sum(1 for _ in photos) == count
        return np.arange(count)[None, :, None], np.arange(count)[:, None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("training") / "drawn"
    write_training_set(out, 1, 3, SIDE_PX)
    return out


def test_each_listed_picture_shows_the_product_of_its_class(folder: Path) -> None:
    with (folder / "classes.csv").open(newline="") as file:
        names = [row["product"] for row in csv.DictReader(file)]
    assert names == [product.name for product in PRODUCTS]
    for split, seed in (("train", 3), ("val", 4)):
        rng = np.random.default_rng(seed)
        listed = [line.split(", ") for line in (folder / f"{split}.txt").read_text().splitlines()]
        assert [int(fine) for _, fine, _ in listed] == list(range(len(PRODUCTS)))
        for path, fine, _ in listed[:6]:
            with Image.open(folder / path) as picture:
                expected = draw_product(PRODUCTS[int(fine)], rng, (SIDE_PX, SIDE_PX))
                np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_training_reads_every_photo_with_its_two_names(folder: Path) -> None:
    towers: Any = CountingTowers()
    source = drawn(folder, towers)
    assert source.words.fine_names == tuple(product.name.lower() for product in PRODUCTS)
    assert source.words.coarse_names == tuple(product.words[0].lower() for product in PRODUCTS)
    for photos in (source.train, source.val):
        np.testing.assert_array_equal(photos.fine, np.arange(len(PRODUCTS)))
        np.testing.assert_array_equal(photos.coarse, photos.fine)
