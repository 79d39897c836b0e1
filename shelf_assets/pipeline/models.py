"""The models of a run: which set runs, and each model as a function from pixels to rows. Loading is lazy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.models.settings import ModelSettings
from shelf_assets.vision.preprocess import Geometry

if TYPE_CHECKING:
    from shelf_assets.models.backends.opening import OpenModel
    from shelf_assets.models.backends.parity import ParityLimits
    from shelf_assets.models.backends.store import CompiledModels
    from shelf_assets.models.catalogue import ResolvedModels
    from shelf_assets.models.spec import ModelSpec

CLASSIFICATIONS, CLIP_EMBEDDINGS = "classifications", "clip_embeddings"


@dataclass
class Predictor:
    """One prediction asset's model: its identity without loading it, and `submit`, which opens it at the first photo."""

    asset: str
    spec: ModelSpec
    models: PredictionModels

    @property
    def preprocess_digest(self) -> str:
        return self.spec.preprocess_digest({"digest": self.models.geometry.digest()})

    @cached_property
    def model(self) -> OpenModel:
        from shelf_assets.models.backends.opening import OpenModel

        settings = self.models.settings
        return OpenModel(
            self.spec,
            self.models.compiled,
            device=settings.device,
            limits=self.models.parity_limits,
            batch_images=settings.batch_size,
            compiled=settings.torch_compile,
        )

    @property
    def device(self) -> str:
        return self.model.network.device

    @property
    def batch_images(self) -> int:
        return self.model.batch_images

    def submit(self, pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        """Start on pixels (uint8, N × 3 × H × W); what comes back waits for the columns of their N rows."""
        answer = self.model.submit(pixels)
        if self.asset == CLIP_EMBEDDINGS:
            return lambda: pl.DataFrame({"embedding": pl.Series(answer(), dtype=pl.List(pl.Float32))})
        return lambda: top_labels(answer(), self.model.labels, self.models.settings.top_k)

    def close(self) -> None:
        """End what opening the model has started beside it."""
        self.model.close()

    def facts(self) -> dict[str, object]:
        """What ran, for metadata: the device, and how true the backend is to float32."""
        parity = self.model.card.parity
        return {"device": self.device, **(parity.metrics() if parity else {})}


def top_labels(probabilities: np.ndarray, labels: Sequence[str], top_k: int) -> pl.DataFrame:
    """Columns label, confidence, labels and scores from class probabilities (float32, N × classes); equal scores by class."""
    count = min(top_k, len(labels))
    classes = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    scores = np.take_along_axis(probabilities, classes, axis=1)
    names = np.asarray(labels, dtype=object)[classes]
    return pl.DataFrame(
        {
            "label": pl.Series(names[:, 0].tolist(), dtype=pl.String),
            "confidence": pl.Series(scores[:, 0], dtype=pl.Float32),
            "labels": pl.Series(names.tolist(), dtype=pl.List(pl.String)),
            "scores": pl.Series(scores.tolist(), dtype=pl.List(pl.Float32)),
        }
    )


class PredictionModels:
    """The models that the settings name, resolved to files and digests when first asked for; loaded for the first photo.

    `home` keeps this machine's weights and compiled models, the lake those that machines share.
    """

    def __init__(
        self, settings: ModelSettings, geometry: Geometry, home: Path, lake: Lake, on_cluster: bool = False
    ) -> None:
        self.settings, self.geometry = settings, geometry
        self._home, self._lake, self._on_cluster = home, lake, on_cluster

    def with_settings(self, **changes: object) -> PredictionModels:
        """The same place with other settings of the models."""
        changed = self.settings.model_copy(update=changes)
        return PredictionModels(changed, self.geometry, self._home, self._lake, self._on_cluster)

    @cached_property
    def compiled(self) -> CompiledModels:
        """Compiled models: on this machine, the quantized ones in the lake too."""
        from shelf_assets.models.backends.store import CompiledModels

        return CompiledModels(self._home / "compiled", self._lake.objects)

    @property
    def parity_limits(self) -> ParityLimits:
        from shelf_assets.models.backends.parity import ParityLimits

        return ParityLimits(
            cosine=self.settings.parity_cosine,
            cosine_labelled=self.settings.parity_cosine_labelled,
            top1_agreement=self.settings.parity_top1,
            accuracy_points=self.settings.parity_accuracy_points,
        )

    @cached_property
    def resolved(self) -> ResolvedModels:
        """Raises NotCalibrated where int8 is asked for and was never made."""
        from shelf_assets.models.catalogue import resolve_models

        settings = self.settings
        found = resolve_models(
            settings.set,
            settings.classifier,
            settings.embedder,
            cache_dir=self._home / "models",
            on_cluster=self._on_cluster,
            precision=settings.precision,
            backend=settings.backend,
            device=settings.device,
            digest_record=self._home / "models" / "digests.json",
        )
        if settings.precision != "int8":
            return found
        calibrated = self.compiled.calibrated
        return replace(found, classifier=calibrated(found.classifier), embedder=calibrated(found.embedder))

    @cached_property
    def _predictors(self) -> dict[str, Predictor]:
        specs = {CLASSIFICATIONS: self.resolved.classifier, CLIP_EMBEDDINGS: self.resolved.embedder}
        return {asset: Predictor(asset, spec, self) for asset, spec in specs.items()}

    def predictors(self, assets: Sequence[str]) -> Sequence[Predictor]:
        return [self._predictors[asset] for asset in assets]

    def notice(self) -> dict[str, object]:
        """Metadata that names the set that ran, with a warning when it is not the production one."""
        notice: dict[str, object] = {"models": self.resolved.ran}
        if self.resolved.warning:
            notice["models_warning"] = self.resolved.warning
        return notice
