"""The models of a run: which set runs, and how a model is opened. How a stage uses its model is in `stages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shelf_assets.lake.lake import Lake
from shelf_assets.models.settings import ModelSettings
from shelf_assets.registry import prediction_stages
from shelf_assets.vision.preprocess import Geometry

if TYPE_CHECKING:
    from shelf_assets.models.backends.opening import OpenModel
    from shelf_assets.models.backends.store import CompiledModels
    from shelf_assets.models.catalogue import ResolvedModels
    from shelf_assets.models.defaults import ParityLimits
    from shelf_assets.models.spec import ModelSpec
    from shelf_assets.pipeline.stage import Predictor


class PredictionModels:
    """The models of the settings, resolved to files and digests on first use, and loaded with the first photo.

    `home` has this machine's weights and compiled models, the lake has those that machines share.
    """

    def __init__(
        self, settings: ModelSettings, geometry: Geometry, home: Path, lake: Lake, on_cluster: bool = False
    ) -> None:
        self.settings, self.geometry = settings, geometry
        self._home, self._lake, self._on_cluster = home, lake, on_cluster

    def with_settings(self, **changes: object) -> PredictionModels:
        """The same home and lake with other settings of the models."""
        changed = self.settings.model_copy(update=changes)
        return PredictionModels(changed, self.geometry, self._home, self._lake, self._on_cluster)

    @cached_property
    def compiled(self) -> CompiledModels:
        """Compiled models on this machine; quantized ones are in the lake as well."""
        from shelf_assets.models.backends.store import CompiledModels

        return CompiledModels(self._home / "compiled", self._lake.objects)

    @property
    def parity_limits(self) -> ParityLimits:
        from shelf_assets.models.defaults import ParityLimits

        return ParityLimits(
            cosine=self.settings.parity_cosine,
            cosine_labelled=self.settings.parity_cosine_labelled,
            top1_agreement=self.settings.parity_top1,
            accuracy_points=self.settings.parity_accuracy_points,
        )

    @cached_property
    def resolved(self) -> ResolvedModels:
        """The models that run. Raises NotCalibrated if int8 is configured but was not calibrated."""
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
        return {}  # by stage, made on first use: a model that is open for one day is used for the next days of this process

    def predictors(self, stages: Sequence[str]) -> Sequence[Predictor]:
        """The predictors of these prediction stages, in the order of the graph. Loads no model."""
        chosen = [stage for stage in prediction_stages() if stage.name in stages]
        for stage in chosen:
            if stage.name not in self._predictors:
                self._predictors[stage.name] = stage.predictor(self)
        return [self._predictors[stage.name] for stage in chosen]

    def preprocess_digest(self, spec: ModelSpec) -> str:
        """Digest of the stored tensors' geometry together with the model's own preprocessing."""
        return spec.preprocess_digest({"digest": self.geometry_digest})

    @property
    def geometry_digest(self) -> str:
        """Digest of how the stored tensors were cut."""
        return self.geometry.digest()

    def open(self, spec: ModelSpec) -> OpenModel:
        """Load a model on the device of the settings."""
        from shelf_assets.models.backends.opening import OpenModel

        settings = self.settings
        return OpenModel(
            spec,
            self.compiled,
            device=settings.device,
            limits=self.parity_limits,
            batch_images=settings.batch_size,
            compiled=settings.torch_compile,
        )

    def notice(self) -> dict[str, object]:
        """Metadata that names the set that ran, with a warning when it is not the production one."""
        notice: dict[str, object] = {"models": self.resolved.ran}
        if self.resolved.warning:
            notice["models_warning"] = self.resolved.warning
        return notice
