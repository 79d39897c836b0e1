"""Parity: a backend with other outputs is refused, and the message names the value that shows it."""

from __future__ import annotations

import numpy as np
import pytest

from shelf_assets.models.backends.parity import (
    FEWEST_FOR_TOP1,
    BackendRefused,
    Parity,
    ParityLimits,
    accuracy_change_points,
    measure,
)

LIMITS = ParityLimits(cosine=0.99, cosine_labelled=0.9, top1_agreement=0.9, accuracy_points=0.5)


def probabilities(count: int, classes: int = 10, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 2, (count, classes))
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


def vectors(count: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.normal(0, 1, (count, 64)) + noise * np.random.default_rng(seed + 1).normal(0, 1, (count, 64))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_equal_answers_have_full_parity() -> None:
    found = measure("classifier", probabilities(80), probabilities(80))
    assert found.photos == 80
    assert found.cosine_least == pytest.approx(1) and found.top1_agreement == 1
    found.require(LIMITS, "model")
    assert measure("embedder", vectors(8), vectors(8)).top1_agreement is None


def test_scores_that_agree_only_at_the_top_are_refused() -> None:
    reference = probabilities(80)
    others_shuffled = reference.copy()
    for row in others_shuffled:
        best = row.argmax()
        rest = np.delete(np.arange(len(row)), best)
        row[rest] = row[np.roll(rest, 3)]
    found = measure("classifier", reference, others_shuffled)
    assert found.top1_agreement == 1
    with pytest.raises(BackendRefused, match="mean cosine"):
        found.require(LIMITS, "resnet50 in int8 on openvino")


def test_vectors_with_low_cosine_are_refused() -> None:
    rough = measure("embedder", vectors(40), vectors(40, noise=0.5))
    assert 0.8 < rough.cosine_least <= rough.cosine_mean < 0.95
    with pytest.raises(BackendRefused, match=r"ViT in bf16 .* on 40 photos.*SHELF_MODELS_PARITY_"):
        rough.require(LIMITS, "ViT in bf16")


def test_low_top1_agreement_is_refused_from_enough_photos_on() -> None:
    other_labels = Parity(FEWEST_FOR_TOP1, 0.999, 0.99, top1_agreement=0.5)
    with pytest.raises(BackendRefused, match=r"same top label 50\.0%"):
        other_labels.require(LIMITS, "model")
    Parity(FEWEST_FOR_TOP1 - 1, 0.999, 0.99, top1_agreement=0.5).require(LIMITS, "model")


def test_lost_accuracy_is_refused_and_a_gain_is_accepted() -> None:
    with pytest.raises(BackendRefused, match=r"0\.8 points of accuracy lost"):
        Parity(100, 0.999, 0.99, labelled_photos=300, accuracy_change_points=-0.8).require(LIMITS, "model")
    Parity(100, 0.999, 0.99, labelled_photos=300, accuracy_change_points=2.0).require(LIMITS, "model")


def test_rough_backend_is_accepted_only_with_labelled_photos() -> None:
    rough = Parity(100, 0.95, 0.9)
    with pytest.raises(BackendRefused, match="mean cosine"):
        rough.require(LIMITS, "model")
    Parity(100, 0.95, 0.9, labelled_photos=300, accuracy_change_points=0.0).require(LIMITS, "model")


def test_parity_of_two_runs_is_weighted_by_photos() -> None:
    first, second = probabilities(10), probabilities(30, seed=1)
    rough = np.roll(second, 1, axis=1)
    together = measure("classifier", np.concatenate([first, second]), np.concatenate([first, rough]))
    added = measure("classifier", first, first).combined(measure("classifier", second, rough))
    assert added.photos == together.photos == 40
    assert added.cosine_mean == pytest.approx(together.cosine_mean)
    assert added.cosine_least == together.cosine_least
    assert added.top1_agreement == pytest.approx(together.top1_agreement)


def test_known_accuracy_survives_unlabelled_photos() -> None:
    known = Parity(12, 0.95, 0.9, labelled_photos=300, accuracy_change_points=-0.2)
    seen = known.combined(Parity(64, 0.96, 0.91))
    assert (seen.photos, seen.labelled_photos, seen.accuracy_change_points) == (76, 300, -0.2)


def test_accuracy_leaves_out_the_photo_itself() -> None:
    """Each photo of noise is nearest to its own class mean, unless it is left out of the mean."""
    noise, labels = vectors(60, seed=3), [f"class {number % 20}" for number in range(60)]
    change, accuracy = accuracy_change_points("embedder", noise, noise, labels)
    assert change == 0
    assert accuracy < 40


def test_accuracy_change_shows_a_backend_that_mixes_classes() -> None:
    centres = np.eye(64)[:6]
    labels = [f"class {number % 6}" for number in range(60)]
    found = np.array([centres[number % 6] for number in range(60)]) + 0.1 * vectors(60)
    change, accuracy = accuracy_change_points("embedder", found, np.roll(found, 1, axis=0), labels)
    assert accuracy == 100
    assert change == -100
