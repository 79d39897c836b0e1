"""Training of the packaged projection: held-out classes stay unseen, known structure is found, scores are correct."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from shelf_assets.models.embedded import PACKAGED, PROJECTION, PROJECTION_CARD
from shelf_assets.training.clip_projection import _store
from shelf_assets.training.projection_data import Photos, Source, Vocabulary
from shelf_assets.training.projection_fit import Projection, Recipe, fit
from shelf_assets.training.projection_scores import conse, held_out_scores, name_vectors, scores, unit

RECIPE = Recipe(ridge=1.0, steps=20, batch=32)
COARSE_OF = np.array([0, 0, 1, 1, 2, 2])
HELD_OUT = np.array([2])


@pytest.fixture(scope="module")
def source() -> Source:
    """Six fine classes in three coarse ones; features are a fixed rotation of the names' vectors, with noise."""
    rng = np.random.default_rng(0)
    fine, coarse = unit(rng.normal(size=(2, 6, 16))), unit(rng.normal(size=(2, 3, 16)))
    names = tuple(f"name {number}" for number in range(6))
    words = Vocabulary(names, names[:3], COARSE_OF, fine.astype(np.float32), coarse.astype(np.float32))
    turn = rng.normal(size=(16, 24))
    return Source(_photos(rng, words, turn, 120), _photos(rng, words, turn, 30), words)


def _photos(rng: np.random.Generator, words: Vocabulary, turn: np.ndarray, count: int) -> Photos:
    classes = rng.integers(6, size=count)
    features = (name_vectors(words.fine) @ turn)[classes] + rng.normal(scale=0.3, size=(2, count, 24))
    imagenet = rng.dirichlet(np.full(10, 0.1), size=count)
    return Photos(features.astype(np.float32), imagenet.astype(np.float32), classes, COARSE_OF[classes])


@pytest.fixture(scope="module")
def imagenet_words() -> np.ndarray:
    return unit(np.random.default_rng(1).normal(size=(2, 10, 16))).astype(np.float32)


def test_fit_finds_the_names_of_photos_it_did_not_see(source: Source, imagenet_words: np.ndarray) -> None:
    projection = fit([source], imagenet_words, RECIPE)
    found = scores(projection(source.val.views[0]), source.val, source.words)
    assert found["fine_top1"] > 0.8 and found["fine_search_map"] > 0.8


def test_fit_is_the_same_in_every_run(source: Source, imagenet_words: np.ndarray) -> None:
    first, second = (fit([source], imagenet_words, RECIPE) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)


def test_held_out_photos_and_names_leave_no_trace_in_the_fit(source: Source, imagenet_words: np.ndarray) -> None:
    blind = fit([source], imagenet_words, RECIPE, HELD_OUT)
    held_photos, held_names = source.train.coarse == 2, COARSE_OF == 2
    views, fine, coarse = source.train.views.copy(), source.words.fine.copy(), source.words.coarse.copy()
    views[:, held_photos] = 9.0
    fine[:, held_names] = fine[:, :1]
    coarse[:, 2] = coarse[:, 0]
    changed = Source(replace(source.train, views=views), source.val, replace(source.words, fine=fine, coarse=coarse))
    np.testing.assert_array_equal(fit([changed], imagenet_words, RECIPE, HELD_OUT).weight, blind.weight)
    assert not np.array_equal(fit([changed], imagenet_words, RECIPE).weight, blind.weight)


def test_scores_separate_perfect_from_shuffled_names(source: Source) -> None:
    names = name_vectors(source.words.fine)
    perfect = scores(names[source.val.fine], source.val, source.words)
    assert (perfect["fine_top1"], perfect["fine_search_first"], perfect["fine_search_map"]) == (1, 1, 1)
    mixed = scores(names[(source.val.fine + 1) % 6], source.val, source.words)
    assert (mixed["fine_top1"], mixed["fine_search_first"]) == (0, 0)


def test_search_score_is_the_mean_average_precision(source: Source) -> None:
    words = Vocabulary(("a",), ("a",), np.array([0]), np.array([[[1.0, 0.0]]]), np.array([[[1.0, 0.0]]]))
    pictures = unit(np.array([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0]]))
    # The photos at ranks 1 and 3 of three are right: (1/1 + 2/3) / 2.
    photos = Photos(np.zeros((1, 3, 1)), np.zeros((3, 1)), np.array([0, 9, 0]), np.array([0, 9, 0]))
    assert scores(pictures, photos, words)["fine_search_map"] == pytest.approx((1 + 2 / 3) / 2)


def test_held_out_score_is_among_the_held_out_names(source: Source) -> None:
    pictures = name_vectors(source.words.coarse)[source.val.coarse]
    found = held_out_scores(pictures, source.val, source.words, np.array([1, 2]))
    assert (found["top1"], found["chance"], found["all_classes_top1"]) == (1, 0.5, 1)


def test_conse_of_a_certain_classifier_is_its_class_name(imagenet_words: np.ndarray) -> None:
    sure = np.eye(10, dtype=np.float32)[[3]]
    np.testing.assert_allclose(conse(sure, imagenet_words)[0], name_vectors(imagenet_words)[3], atol=1e-6)


def test_stored_projection_is_the_scored_one(tmp_path) -> None:
    fitted = Projection(np.full((2, 3), 1 / 3, np.float32), np.full(2, 0.1, np.float32))
    stored = _store(fitted, tmp_path)
    assert stored.weight.dtype == np.float32
    np.testing.assert_array_equal(stored.weight, fitted.weight.astype(np.float16).astype(np.float32))
    assert (tmp_path / PROJECTION).stat().st_mode & 0o044 == 0o044, "all users can read a package's files"


def test_card_of_the_packaged_projection_documents_training_and_scores() -> None:
    card = json.loads(PROJECTION_CARD.read_text())
    assert (PACKAGED / PROJECTION).stat().st_size < 1_500_000
    assert "clip_projection --grocery" in card["command"] and card["recipe"]["seed"] == card["seed"]
    assert card["scores"]["grocery_val"]["coarse_top1"] > card["scores"]["grocery_val_conse"]["coarse_top1"]
    assert {"grocery_held_out", "grocery_held_out_conse"} <= set(card["scores"])
