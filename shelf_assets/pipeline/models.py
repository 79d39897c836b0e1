"""The models of a run as a resource: which set runs, and each model as a function from pixels to rows. Loading is lazy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from shelf_assets.defs.resources.lake import lake_of
from shelf_assets.settings import Settings, load_settings
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
    spec: "ModelSpec"
    preprocess_digest: str
    settings: Settings

    @cached_property
    def model(self) -> "OpenModel":
        from shelf_assets.models.backends.opening import OpenModel

        return OpenModel(
            self.spec,
            compiled_models(self.settings),
            device=self.settings.models.device,
            limits=parity_limits(self.settings),
            batch_images=self.settings.models.batch_size,
            compiled=self.settings.models.torch_compile,
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
        return lambda: top_labels(answer(), self.model.labels, self.settings.models.top_k)

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


class ModelsResource(dg.ConfigurableResource):
    """Resolves the settings' model names to files and digests; torch is imported when a photo has to be inferred."""

    models: str
    classifier: str
    embedder: str

    @cached_property
    def settings(self) -> Settings:
        return load_settings(
            models__set=self.models, models__classifier=self.classifier, models__embedder=self.embedder
        )

    @cached_property
    def resolved(self) -> "ResolvedModels":
        return resolve(self.settings)

    @cached_property
    def _predictors(self) -> dict[str, Predictor]:
        specs = {CLASSIFICATIONS: self.resolved.classifier, CLIP_EMBEDDINGS: self.resolved.embedder}
        geometry = geometry_of(self.settings)
        return {
            asset: Predictor(asset, spec, spec.preprocess_digest({"digest": geometry.digest()}), self.settings)
            for asset, spec in specs.items()
        }

    def predictors(self, assets: Sequence[str]) -> list[Predictor]:
        return [self._predictors[asset] for asset in assets]

    def notice(self) -> dict[str, object]:
        """Metadata that says which set ran, and plainly so when it is not the production one."""
        notice: dict[str, object] = {"models": self.resolved.ran}
        if self.resolved.warning:
            notice["models_warning"] = self.resolved.warning
        return notice


def resolve(settings: Settings) -> "ResolvedModels":
    """The models that the settings name. Raises NotCalibrated where int8 is asked for and was never made."""
    from shelf_assets.models.catalogue import resolve_models

    found = resolve_models(
        settings.models.set,
        settings.models.classifier,
        settings.models.embedder,
        cache_dir=settings.home / "models",
        on_cluster=settings.on_cluster,
        precision=settings.models.precision,
        backend=settings.models.backend,
        device=settings.models.device,
        digest_record=settings.home / "models" / "digests.json",
    )
    if settings.models.precision != "int8":
        return found
    store = compiled_models(settings)
    return replace(found, classifier=store.calibrated(found.classifier), embedder=store.calibrated(found.embedder))


def compiled_models(settings: Settings) -> "CompiledModels":
    """Where compiled models rest: on this machine, the quantized ones in the lake too."""
    from shelf_assets.models.backends.store import CompiledModels

    return CompiledModels(settings.home / "compiled", lake_of(settings).objects)


def parity_limits(settings: Settings) -> "ParityLimits":
    from shelf_assets.models.backends.parity import ParityLimits

    return ParityLimits(
        cosine=settings.models.parity_cosine,
        cosine_labelled=settings.models.parity_cosine_labelled,
        top1_agreement=settings.models.parity_top1,
        accuracy_points=settings.models.parity_accuracy_points,
    )


def geometry_of(settings: Settings) -> Geometry:
    """The geometry that the settings ask for; the measured default where they are silent."""
    return Geometry(fit=settings.vision.fit or Geometry.fit, decoder=settings.vision.decoder)
