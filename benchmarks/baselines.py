"""The baselines that are measured, in one table, and what they have in common. How each works is in its module."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from benchmarks.meters import Span
from benchmarks.place import Place
from shelf_assets.vision.preprocess import Geometry

Role = Literal["ours", "plain", "rival"]

CLASSIFIER, EMBEDDER = "resnet50@random", "ViT-B-32@random"
EMBEDDING_LENGTH = 512
# Multiply-adds of one 224 px image times two; ResNet-50 (v1.5) 4.1 G, ViT-B/32 4.4 G.
GFLOP_PER_IMAGE = {"classifier": 2 * 4.1, "embedder": 2 * 4.4}
# The cut of nearly all published preprocessing, so that all baselines can be compared photo by photo.
GEOMETRY = Geometry(fit="crop")
TOP_K = 5


@dataclass(frozen=True)
class Baseline:
    """One baseline: its name in the figures, its title on the page, the module whose `start` opens it, how its models run."""

    name: str
    title: str
    role: Role
    module: str
    backend: str = "torch"
    precision: str = "auto"


# Taken in this order in every run. The rivals all run the models as `loader` does, so its models alone stand for theirs.
BASELINES = (
    Baseline("pipeline", "this pipeline on OpenVINO", "ours", "our_baseline", backend="openvino"),
    Baseline(
        "pipeline int8", "this pipeline on OpenVINO", "ours", "our_baseline", backend="openvino", precision="int8"
    ),
    Baseline("pipeline torch", "this pipeline on torch", "ours", "our_baseline"),
    Baseline("plain", "the plain way", "plain", "plain_baseline", precision="fp32"),
    Baseline("loader", "PyTorch DataLoader done well", "rival", "loader_baseline"),
    Baseline("daft", "Daft", "rival", "daft_baseline"),
    Baseline("ray", "Ray Data", "rival", "ray_baseline"),
    Baseline("clip-retrieval", "clip-retrieval's loop", "rival", "clip_retrieval_baseline"),
)
BY_NAME = {baseline.name: baseline for baseline in BASELINES}


@dataclass(frozen=True)
class BenchOptions:
    """What every baseline is given alike; `scratch` is a folder of its own, gone when the bench ends."""

    batch_size: int
    threads: int
    loader_workers: int
    drawn: bool
    scratch: str


@dataclass
class Outcome:
    """One way over one set of photos. `keys`, `labels`, `scores` and `embeddings` are aligned, sorted by key.

    A way whose processes end while it works, and whose CPU seconds this process therefore cannot see, gives `tree`: the
    harness, which watches from outside, then counts.
    """

    images: int
    total: Span
    stages: dict[str, Span]
    keys: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    embeddings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    tree: dict[str, Any] | None = None

    def metrics(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "wall_seconds": self.total.wall_seconds,
            "cpu_seconds": self.total.cpu_seconds,
            "stages": {name: asdict(span) for name, span in self.stages.items()},
            "tree": self.tree,
        }


class Running(Protocol):
    """A way with its models loaded. `stub` runs answer at once instead of asking a model: all that is not the model."""

    def about(self) -> dict[str, Any]:
        """Facts for the page: precision, versions."""

    def run(self, place: Place, stub: bool) -> Outcome:
        """A day's photos to two Delta tables."""

    def models_alone(self, tensors: np.ndarray) -> Outcome | None:
        """The baseline's models on tensors that lie ready; None where another baseline's stand for them."""

    def close(self) -> None:
        """End whatever it started."""


class BaselineUnavailable(RuntimeError):
    """A way that cannot run here, with the reason; the bench goes on without it."""


def start(baseline: Baseline, options: BenchOptions) -> Running:
    """Open a baseline in this process."""
    module = importlib.import_module(f"benchmarks.{baseline.module}")
    running: Running = module.start(baseline, options)
    return running


@dataclass
class Models:
    """Both models: loaded in torch, as the plain baseline and the rivals take them, or opened by the product on one of its backends."""

    classifier: Any
    embedder: Any
    batch_size: int

    @property
    def precision(self) -> str:
        return str(self.classifier.spec.precision)


def load_weights(batch_size: int, precision: str) -> Models:
    """Seeded random weights: the time a forward pass takes does not depend on them."""
    import open_clip  # noqa: F401  imported first, so that the registry need not ask a process of its own
    import timm  # noqa: F401

    from shelf_assets.models.classifier import load_classifier
    from shelf_assets.models.embedder import load_embedder

    specs = _resolved(precision, "torch")
    return Models(load_classifier(specs.classifier, "cpu"), load_embedder(specs.embedder, "cpu"), batch_size)


def load_models(batch_size: int, precision: str = "auto", backend: str = "torch", *, folder: Path) -> Models:
    """The same weights on a backend of the product, as `prepare_models` left them in `folder`."""
    from shelf_assets.models.backends.opening import OpenModel

    store, specs = _product_specs(precision, backend, folder)
    opened = [
        OpenModel(spec, store, device="cpu", limits=_anything(), batch_images=batch_size)
        for spec in (specs.classifier, specs.embedder)
    ]
    for model in opened:
        model.submit(np.zeros((batch_size, 3, GEOMETRY.size_px, GEOMETRY.size_px), np.uint8))()
    return Models(opened[0], opened[1], batch_size)


def prepare_models(precision: str, backend: str, folder: Path, photos: np.ndarray) -> None:
    """Export both models into `folder`, calibrate int8, and show the backend the photos that prove it.

    `photos` are uint8, N × 3 × 224 × 224. In a process of its own: the product too runs exports without what made them.
    Random weights cannot be held to the limits of real ones.
    """
    from shelf_assets.models.backends.calibration import calibrate
    from shelf_assets.models.backends.opening import PROOF_IMAGES, OpenModel

    if precision == "int8":
        store, specs = _product_specs("fp32", backend, folder)
        for spec in (specs.classifier, specs.embedder):
            # Shown as many as a proof wants, so that no run has to go on proving it.
            calibrate(spec, store, photos[::2], photos, None, _anything())
        return
    store, specs = _product_specs(precision, backend, folder)
    for spec in (specs.classifier, specs.embedder):
        model = OpenModel(spec, store, device="cpu", limits=_anything())
        for start in range(0, PROOF_IMAGES, model.batch_images):
            model.submit(photos[start : start + model.batch_images])()


def _product_specs(precision: str, backend: str, folder: Path) -> tuple[Any, Any]:
    """Where compiled models rest, and which they are."""
    from shelf_assets.models.backends.store import CompiledModels

    store = CompiledModels(folder)
    specs = _resolved(precision, backend, folder / "digests.json")
    if precision == "int8":
        specs = replace(specs, classifier=store.calibrated(specs.classifier), embedder=store.calibrated(specs.embedder))
    return store, specs


def _anything() -> Any:
    from shelf_assets.models.backends.parity import ParityLimits

    return ParityLimits(cosine=-1, top1_agreement=0, accuracy_points=100)


def _resolved(precision: str, backend: str, digest_record: Path | None = None) -> Any:
    from shelf_assets.models.catalogue import resolve_models

    return resolve_models(
        "production",
        CLASSIFIER,
        EMBEDDER,
        on_cluster=False,
        device="cpu",
        precision=precision,  # type: ignore[arg-type]
        backend=backend,  # type: ignore[arg-type]
        digest_record=digest_record,
    )


def stub_models(models: Models) -> Models:
    """Models that answer at once, with the identity of real ones: with them a run costs all but the models."""
    labels = models.classifier.labels
    probabilities = np.full((1, len(labels)), 1 / len(labels), np.float32)
    return Models(
        StubModel(models.classifier, probabilities),
        StubModel(models.embedder, stub_vectors(1)),
        models.batch_size,
    )


class StubModel:
    """Gives every photo the same row of outputs."""

    def __init__(self, real: Any, row: np.ndarray) -> None:
        self.spec, self.labels, self.row = real.spec, real.labels, row

    def submit(self, pixels: np.ndarray) -> Any:
        return lambda: np.repeat(self.row, len(pixels), axis=0)


def stub_vectors(count: int) -> np.ndarray:
    """Unit vectors that no model made."""
    return np.full((count, EMBEDDING_LENGTH), EMBEDDING_LENGTH**-0.5, np.float32)
