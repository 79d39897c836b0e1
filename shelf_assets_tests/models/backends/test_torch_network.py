"""Torch as a backend: it finds a batch size that fits, halves batches if memory is short, and gives the model's outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from shelf_assets.models.backends.torch_network import GPU_BATCHES, TorchNetwork, best_batch, halving
from shelf_assets.models.classifier import Classifier, load_classifier
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.embedder import Embedder, load_embedder
from shelf_assets_tests.models.embedding import embed_images


def test_best_batch_fits_memory_and_is_fastest() -> None:
    def rate(fits: int, best: int) -> Callable[[int], float]:
        def images_per_second(batch_images: int) -> float:
            if batch_images > fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return float(min(batch_images, best))

        return images_per_second

    assert best_batch(rate(fits=200, best=10_000), GPU_BATCHES) == 128
    assert best_batch(rate(fits=10_000, best=64), GPU_BATCHES) == 64
    assert best_batch(rate(fits=10_000, best=10_000), GPU_BATCHES) == GPU_BATCHES[-1]


def test_batch_is_halved_when_memory_runs_out() -> None:
    tried: list[int] = []

    def submit(pixels: np.ndarray) -> Callable[[], np.ndarray]:
        tried.append(len(pixels))
        if len(pixels) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return lambda: pixels[:, :1]

    pixels = np.arange(20).reshape(10, 2)
    assert np.array_equal(halving(submit, pixels)(), pixels[:, :1])
    assert tried == [10, 5, 2, 3, 5, 2, 3]


def test_photo_that_does_not_fit_alone_raises() -> None:
    def never(pixels: np.ndarray) -> Callable[[], np.ndarray]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        halving(never, np.zeros((4, 1)))


def test_torch_backend_answers_equal_the_model(
    classifier: Classifier, embedder: Embedder, plain_batch: np.ndarray
) -> None:
    labels, vectors = (TorchNetwork(loaded).submit(plain_batch)() for loaded in (classifier, embedder))
    np.testing.assert_array_equal(labels, classifier.probabilities(plain_batch).numpy())
    np.testing.assert_array_equal(vectors, embed_images(embedder, plain_batch))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_gpu_answers_stay_with_their_batch(plain_batch: np.ndarray) -> None:
    for load, task in ((load_classifier, "classifier"), (load_embedder, "embedder")):
        network = TorchNetwork(load(embedded_spec(task, "fp32"), device="cuda"))
        batches = [np.roll(plain_batch, turn, axis=0) for turn in range(8)]
        answers = [network.submit(batch) for batch in batches]
        first = answers[0]()
        for turn, answer in enumerate(answers):
            np.testing.assert_allclose(answer(), np.roll(first, turn, axis=0), atol=1e-4)


def test_torch_compile_is_announced_as_experimental(classifier: Classifier, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        TorchNetwork(classifier, compiled=False)
        assert "experimental" not in caplog.text
        TorchNetwork(classifier, compiled=True)
    assert "SHELF_MODELS_TORCH_COMPILE is experimental" in caplog.text
