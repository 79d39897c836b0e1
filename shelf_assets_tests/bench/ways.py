"""What the ways have in common: their results, the weights, the batch. How each works is in the module of its name."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from shelf_assets.vision.preprocess import Geometry
from shelf_assets_tests.bench.meters import Span

CLASSIFIER, EMBEDDER = "resnet50@random", "ViT-B-32@random"
# The cut of nearly all published preprocessing, so that both ways can be compared photo by photo.
GEOMETRY = Geometry(fit="crop")
TOP_K = 5


@dataclass
class Outcome:
    """One way over one set of photos. `keys`, `labels`, `scores` and `embeddings` are aligned, sorted by key."""

    images: int
    total: Span
    stages: dict[str, Span]
    keys: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    embeddings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def figures(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "wall_seconds": self.total.wall_seconds,
            "cpu_seconds": self.total.cpu_seconds,
            "stages": {name: asdict(span) for name, span in self.stages.items()},
        }


@dataclass
class Models:
    """Both models as the product loads them."""

    classifier: Any
    embedder: Any
    batch_size: int

    @property
    def precision(self) -> str:
        return str(self.classifier.spec.precision)


def load_models(batch_size: int, precision: str = "auto") -> Models:
    """Load both models with seeded random weights: the time a forward pass takes does not depend on them."""
    import open_clip  # noqa: F401  imported first, so that the registry need not ask a process of its own
    import timm  # noqa: F401

    from shelf_assets.vision.models import load_classifier, load_embedder, resolve_models

    resolved = resolve_models(
        "production",
        CLASSIFIER,
        EMBEDDER,
        on_cluster=False,
        device="cpu",
        precision=precision,  # type: ignore[arg-type]
    )
    return Models(
        load_classifier(resolved.classifier, device="cpu"), load_embedder(resolved.embedder, device="cpu"), batch_size
    )
