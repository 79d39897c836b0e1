"""The table of baselines, and what they share: options, results, models. How each works is in its own module."""

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
# Centre crop, as in nearly all published preprocessing, so that answers can be compared photo by photo.
GEOMETRY = Geometry(fit="crop")
TOP_K = 5


@dataclass(frozen=True)
class Baseline:
    """One baseline: its name in the results, its title on the page, the module whose `start` opens it, how its models run."""

    name: str
    title: str
    role: Role
    module: str
    backend: str = "torch"
    precision: str = "auto"


# In this order in every run. All rivals run the models as `loader` does, so its models alone are measured for all.
BASELINES = (
    Baseline("pipeline", "this pipeline on OpenVINO", "ours", "our_baseline", backend="openvino"),
    Baseline(
        "pipeline int8", "this pipeline on OpenVINO", "ours", "our_baseline", backend="openvino", precision="int8"
    ),
    Baseline("pipeline torch", "this pipeline on torch", "ours", "our_baseline"),
    Baseline("plain", "plain PyTorch", "plain", "plain_baseline", precision="fp32"),
    Baseline("loader", "PyTorch DataLoader, well tuned", "rival", "loader_baseline"),
    Baseline("daft", "Daft", "rival", "daft_baseline"),
    Baseline("ray", "Ray Data", "rival", "ray_baseline"),
    Baseline("clip-retrieval", "clip-retrieval's loop", "rival", "clip_retrieval_baseline"),
)
BY_NAME = {baseline.name: baseline for baseline in BASELINES}


@dataclass(frozen=True)
class BenchOptions:
    """Options of every baseline; `scratch` is its own folder, deleted when the bench ends."""

    batch_size: int
    threads: int
    loader_workers: int
    drawn: bool
    scratch: str


@dataclass
class Outcome:
    """One baseline over one set of photos. `keys`, `labels`, `scores` and `embeddings` are aligned, sorted by key.

    `tree` is given where processes of the baseline end while it works, so that its own process cannot count their CPU
    seconds; the harness then counts from outside.
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
    """A baseline with its models loaded. A `stub` run answers without inference: its cost is all but the models."""

    def about(self) -> dict[str, Any]:
        """Facts for the page, such as the precision."""

    def run(self, place: Place, stub: bool) -> Outcome:
        """A day's photos to two Delta tables."""

    def models_alone(self, tensors: np.ndarray) -> Outcome | None:
        """The models on tensors in memory; None where they are those of another baseline."""

    def close(self) -> None:
        """End every process that it started."""


class BaselineUnavailable(RuntimeError):
    """This baseline cannot run here, for this reason; the bench continues without it."""


def start(baseline: Baseline, options: BenchOptions) -> Running:
    """Open a baseline in this process."""
    module = importlib.import_module(f"benchmarks.{baseline.module}")
    running: Running = module.start(baseline, options)
    return running


@dataclass
class Models:
    """Both models: loaded in torch for the baselines, or opened by the product on one of its backends."""

    classifier: Any
    embedder: Any
    batch_size: int

    @property
    def precision(self) -> str:
        return str(self.classifier.spec.precision)


def load_weights(batch_size: int, precision: str) -> Models:
    """Load seeded random weights: the time of a forward pass does not depend on them."""
    import open_clip  # noqa: F401  imported first, so that the registry need not start a process
    import timm  # noqa: F401

    from shelf_assets.models.classifier import load_classifier
    from shelf_assets.models.embedder import load_embedder

    specs = _resolved(precision, "torch")
    return Models(load_classifier(specs.classifier, "cpu"), load_embedder(specs.embedder, "cpu"), batch_size)


def load_models(batch_size: int, precision: str = "auto", backend: str = "torch", *, folder: Path) -> Models:
    """Open the same weights on a backend of the product, as `prepare_models` stored them in `folder`."""
    from shelf_assets.models.backends.opening import OpenModel

    store, specs = _product_specs(precision, backend, folder)
    opened = [
        OpenModel(spec, store, device="cpu", limits=_no_limits(), batch_images=batch_size)
        for spec in (specs.classifier, specs.embedder)
    ]
    for model in opened:
        model.submit(np.zeros((batch_size, 3, GEOMETRY.size_px, GEOMETRY.size_px), np.uint8))()
    return Models(opened[0], opened[1], batch_size)


def prepare_models(precision: str, backend: str, folder: Path, photos: np.ndarray) -> None:
    """Export both models into `folder`, calibrate int8, and run the parity check of the backend.

    `photos` are uint8, N × 3 × 224 × 224. Runs in a process of its own: the product too runs exported models without torch.
    Parity limits are off, because random weights cannot meet those of real ones.
    """
    from shelf_assets.models.backends.calibration import calibrate
    from shelf_assets.models.backends.opening import PROOF_IMAGES, OpenModel

    if precision == "int8":
        store, specs = _product_specs("fp32", backend, folder)
        for spec in (specs.classifier, specs.embedder):
            # As many photos as the parity check needs, so that no measured run continues it.
            calibrate(spec, store, photos[::2], photos, None, _no_limits())
        return
    store, specs = _product_specs(precision, backend, folder)
    for spec in (specs.classifier, specs.embedder):
        model = OpenModel(spec, store, device="cpu", limits=_no_limits())
        for start in range(0, PROOF_IMAGES, model.batch_images):
            model.submit(photos[start : start + model.batch_images])()


def _product_specs(precision: str, backend: str, folder: Path) -> tuple[Any, Any]:
    """The store of compiled models, and the specs of both."""
    from shelf_assets.models.backends.store import CompiledModels

    store = CompiledModels(folder)
    specs = _resolved(precision, backend, folder / "digests.json")
    if precision == "int8":
        specs = replace(specs, classifier=store.calibrated(specs.classifier), embedder=store.calibrated(specs.embedder))
    return store, specs


def _no_limits() -> Any:
    from shelf_assets.models.defaults import ParityLimits

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
    """Models that answer without inference, with the identity of real ones: a run with them costs all but the models."""
    labels = models.classifier.labels
    probabilities = np.full((1, len(labels)), 1 / len(labels), np.float32)
    return Models(
        StubModel(models.classifier, probabilities),
        StubModel(models.embedder, stub_vectors(1)),
        models.batch_size,
    )


class StubModel:
    """Returns the same output row for every photo."""

    def __init__(self, real: Any, row: np.ndarray) -> None:
        self.spec, self.labels, self.row = real.spec, real.labels, row

    def submit(self, pixels: np.ndarray) -> Any:
        return lambda: np.repeat(self.row, len(pixels), axis=0)


def stub_vectors(count: int) -> np.ndarray:
    """Constant unit vectors."""
    return np.full((count, EMBEDDING_LENGTH), EMBEDDING_LENGTH**-0.5, np.float32)
