"""Loaded models: their outputs for photos depend on the batch only."""

from __future__ import annotations

import csv
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from shelf_assets.models.classifier import Classifier, load_classifier
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.embedder import Embedder, load_embedder
from shelf_assets_tests.models.embedding import embed_images

# Coarse classes of grocery that have a matching ImageNet class.
SAME_IN_IMAGENET = {
    "Banana": "banana",
    "Lemon": "lemon",
    "Orange": "orange",
    "Pineapple": "pineapple",
    "Zucchini": "zucchini",
}


def coarse_names(shared_data: Path) -> list[str]:
    with (shared_data / "grocery" / "classes.csv").open(newline="") as file:
        by_number = {int(row[3]): row[2] for row in list(csv.reader(file))[1:]}
    return [by_number[number] for number in range(len(by_number))]


def test_embedded_models_load_without_a_network(monkeypatch: pytest.MonkeyPatch, plain_batch: np.ndarray) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a request to the network: {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    # The switch alone does not prevent requests here: without it there must be none either.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert load_classifier(embedded_spec("classifier", "fp32"), device="cpu").predict(plain_batch).scores.shape == (
        3,
        5,
    )
    assert load_embedder(embedded_spec("embedder", "fp32"), device="cpu").embed_texts(["milk"]).shape == (1, 384)


def test_classifier_recognises_groceries_that_imagenet_has(
    classifier: Classifier, grocery_val: list[tuple[Path, int, int]], grocery_batch: np.ndarray, shared_data: Path
) -> None:
    names = coarse_names(shared_data)
    output = classifier.predict(grocery_batch)
    known = [
        (SAME_IN_IMAGENET[names[coarse]], row)
        for row, (_, _, coarse) in enumerate(grocery_val)
        if names[coarse] in SAME_IN_IMAGENET
    ]
    assert len(known) >= 5
    assert np.mean([label in output.labels[row] for label, row in known]) >= 0.5


def test_embedder_separates_groceries_by_their_names(
    embedder: Embedder, grocery_val: list[tuple[Path, int, int]], grocery_batch: np.ndarray, shared_data: Path
) -> None:
    names = coarse_names(shared_data)
    words = embedder.embed_texts([f"a photo of {name.replace('-', ' ').lower()}" for name in names])
    pictures = embed_images(embedder, grocery_batch)
    truth = np.array([coarse for _, _, coarse in grocery_val])
    best = np.argsort(-pictures @ words.T, axis=1)
    assert (best[:, 0] == truth).mean() > 0.65
    assert (best[:, :5] == truth[:, None]).any(axis=1).mean() > 0.85


def test_embedder_finds_a_drawn_product_by_its_name(embedder: Embedder) -> None:
    from io import BytesIO

    from shelf_assets.vision.preprocess import Geometry, to_tensor
    from tools.drawn_products.draw import draw_product
    from tools.drawn_products.products import PRODUCTS

    products = PRODUCTS[::3]
    rng = np.random.default_rng(20)
    tensors = []
    for product in products:
        file = BytesIO()
        draw_product(product, rng, (320, 320)).save(file, "PNG")
        tensors.append(to_tensor(file.getvalue(), Geometry()))
    similar = embed_images(embedder, np.stack(tensors)) @ embedder.embed_texts([p.words[0] for p in products]).T
    among_best_three = (np.argsort(-similar, axis=1)[:, :3] == np.arange(len(products))[:, None]).any(axis=1)
    assert among_best_three.mean() > 0.6


def test_scores_are_sorted_probabilities_and_labels_fit_them(classifier: Classifier, plain_batch: np.ndarray) -> None:
    output = classifier.predict(plain_batch, top_k=7)
    assert output.scores.dtype == np.float32 and output.scores.shape == (3, 7)
    assert [len(labels) for labels in output.labels] == [7, 7, 7]
    assert (np.diff(output.scores, axis=1) <= 0).all() and (output.scores.sum(axis=1) <= 1 + 1e-5).all()
    whole = classifier.probabilities(plain_batch).numpy()
    assert output.labels[0][0] == classifier.names[int(whole[0].argmax())]
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


def test_more_labels_than_classes_gives_all_classes(classifier: Classifier, plain_batch: np.ndarray) -> None:
    assert classifier.predict(plain_batch[:1], top_k=5000).scores.shape == (1, 1000)


def test_vectors_are_of_unit_length(embedder: Embedder, plain_batch: np.ndarray) -> None:
    for vectors in (embed_images(embedder, plain_batch), embedder.embed_texts(["oat milk", "a ripe banana"])):
        assert vectors.dtype == np.float32 and vectors.shape[1] == embedder.dimension == 384
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_text_vector_is_independent_of_its_batch(embedder: Embedder) -> None:
    alone = embedder.embed_texts(["milk"])
    beside = embedder.embed_texts(["milk", "organic semi-skimmed long-life milk from alpine meadows in a carton " * 3])
    np.testing.assert_allclose(alone[0], beside[0], atol=2e-6)


def test_similar_texts_are_nearer_than_dissimilar_ones(embedder: Embedder) -> None:
    milk, oat_drink, detergent = embedder.embed_texts(["a carton of milk", "oat milk", "laundry detergent"])
    assert milk @ oat_drink > milk @ detergent + 0.1


def test_photo_result_is_independent_of_its_batch(
    classifier: Classifier, embedder: Embedder, plain_batch: np.ndarray
) -> None:
    together, alone = embed_images(embedder, plain_batch), embed_images(embedder, plain_batch[1:2])
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
    from_torch = classifier.predict(torch.from_numpy(plain_batch)).scores
    np.testing.assert_array_equal(from_torch, classifier.predict(plain_batch).scores)


def test_no_photos_give_no_rows(classifier: Classifier, embedder: Embedder) -> None:
    nothing = np.zeros((0, 3, 224, 224), np.uint8)
    assert classifier.predict(nothing).scores.shape == (0, 5) and classifier.predict(nothing).labels == []
    assert embedder.embed_texts([]).shape == (0, 384)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 3, 224, 224), np.float32), np.zeros((3, 224, 224), np.uint8), np.zeros((2, 224, 224, 3), np.uint8)],
)
def test_normalised_or_transposed_batches_are_refused(classifier: Classifier, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a batch is uint8, N × 3"):
        classifier.predict(wrong)


def test_both_embedded_models_share_one_tower(
    classifier: Classifier, embedder: Embedder, plain_batch: np.ndarray
) -> None:
    with torch.inference_mode():
        pixels = classifier.pixels(plain_batch)
        theirs = classifier.model.forward_head(classifier.model.forward_features(pixels), pre_logits=True)
        ours = embedder.model.visual.trunk(embedder.pixels(plain_batch))
    torch.testing.assert_close(ours, theirs)


def test_bf16_answers_nearly_the_same_under_its_own_digest(embedder: Embedder, plain_batch: np.ndarray) -> None:
    rough = load_embedder(embedder.spec, device="cpu", precision="bf16")
    assert rough.spec.model_digest != embedder.spec.model_digest
    pictures = (embed_images(rough, plain_batch) * embed_images(embedder, plain_batch)).sum(axis=1)
    words = (rough.embed_texts(["oat milk"]) * embedder.embed_texts(["oat milk"])).sum(axis=1)
    assert pictures.min() > 0.98 and words.min() > 0.99


def test_spec_of_the_other_task_is_refused(classifier: Classifier, embedder: Embedder) -> None:
    with pytest.raises(ValueError, match="is not an embedder"):
        load_embedder(classifier.spec)
    with pytest.raises(ValueError, match="is not a classifier"):
        load_classifier(embedder.spec)
