"""Models and pictures that tests of several rooms share, loaded once per session."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from shelf_assets.models.classifier import Classifier, load_classifier
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.embedder import Embedder, load_embedder
from shelf_assets.vision.preprocess import Geometry, to_tensor


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return load_classifier(embedded_spec("classifier", "fp32"), device="cpu")


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder(embedded_spec("embedder", "fp32"), device="cpu")


@pytest.fixture(scope="session")
def plain_batch() -> np.ndarray:
    """Three pictures that need no data: a red disc, a gradient, and noise."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 224).astype(np.uint8)
    across, down = np.meshgrid(np.arange(224), np.arange(224))
    disc = np.where(((across - 112) ** 2 + (down - 112) ** 2 < 80**2)[..., None], [200, 20, 30], 255)
    pictures = [
        disc.astype(np.uint8),
        np.stack([np.tile(ramp, (224, 1))] * 3, 2),
        rng.integers(0, 256, (224, 224, 3), np.uint8),
    ]
    return np.stack([_png_tensor(picture) for picture in pictures])


def _png_tensor(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return to_tensor(file.getvalue(), Geometry())
