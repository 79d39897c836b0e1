"""The models of a run as a resource: which set runs, and each model as a function from pixels to rows. Loading is lazy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from shelf_assets.settings import Settings, load_settings
from shelf_assets.vision.preprocess import Geometry

if TYPE_CHECKING:
    from shelf_assets.vision.models import ModelSpec, ResolvedModels

CLASSIFICATIONS, CLIP_EMBEDDINGS = "classifications", "clip_embeddings"


@dataclass
class Predictor:
    """One prediction asset's model: its identity without loading it, and `infer`, which loads it once."""

    asset: str
    spec: "ModelSpec"
    preprocess_digest: str
    settings: Settings
    _loaded: Any = field(default=None, repr=False)

    @property
    def model(self) -> Any:
        if self._loaded is None:
            from shelf_assets.vision.models import load_classifier, load_embedder

            load = load_classifier if self.asset == CLASSIFICATIONS else load_embedder
            self._loaded = load(self.spec, device=self.settings.device)
        return self._loaded

    def device(self) -> str:
        return str(self.model.device)

    def infer(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        """Columns of N rows from pixels (uint8, N × 3 × H × W)."""
        if self.asset == CLIP_EMBEDDINGS:
            return [{"embedding": vector} for vector in self.model.embed_images(pixels)]
        output = self.model.predict(pixels, top_k=self.settings.top_k)
        return [
            {"label": labels[0], "confidence": scores[0], "labels": labels, "scores": scores}
            for labels, scores in zip(output.labels, output.scores.tolist(), strict=True)
        ]


class ModelsResource(dg.ConfigurableResource):
    """Resolves the settings' model names to files and digests; torch is imported when a photo has to be inferred."""

    models: str
    classifier: str
    embedder: str

    @cached_property
    def settings(self) -> Settings:
        return load_settings(models=self.models, classifier=self.classifier, embedder=self.embedder)

    @cached_property
    def resolved(self) -> "ResolvedModels":
        from shelf_assets.vision.models import resolve_models

        return resolve_models(
            self.settings.models,
            self.settings.classifier,
            self.settings.embedder,
            cache_dir=self.settings.home / "models",
            on_cluster=self.settings.on_cluster,
            precision=self.settings.precision,
            device=self.settings.device,
            digest_record=self.settings.home / "models" / "digests.json",
        )

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


def geometry_of(settings: Settings) -> Geometry:
    """The geometry that the settings ask for; the measured default where they are silent."""
    return Geometry(fit=settings.fit) if settings.fit else Geometry()
