"""Cheap fakes of models and tracking: the real interface with simple functions of the pixels. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from shelf_assets.build import open_lake
from shelf_assets.lake.lake import Lake
from shelf_assets.models.catalogue import ResolvedModels
from shelf_assets.models.spec import ModelSpec, TaskName
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.tracking import Tracking
from shelf_assets.pipeline.models import PredictionModels
from shelf_assets.pipeline.predictor import ModelPredictor
from shelf_assets.pipeline.stage import MethodIdentity, Predictor
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.registry import prediction_stages
from shelf_assets.settings import Settings

LABELS = ("red", "green", "blue")
_FLOATS: dict[str, Any] = {"embedding": pl.List(pl.Float32), "scores": pl.List(pl.Float32), "confidence": pl.Float32}


def spec(task: TaskName, version: int) -> ModelSpec:
    return ModelSpec(
        task=task,
        model_id=f"colour-{task}-{version}",
        architecture="mean_colour",
        pretrained="",
        source="random",
        files=(),
        precision="fp32",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation="bicubic",
        image_size_px=224,
        random_seed=version,
    )


class ColourPredictor(ModelPredictor):
    """Labels a photo by its strongest colour; its embedding is the direction of its mean colour."""

    device = "cpu"
    batch_images = 2

    def submit(self, pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        rows = self.columns_of(pixels)
        return lambda: rows

    def facts(self) -> dict[str, object]:
        return {"device": self.device}

    def close(self) -> None:
        """Nothing to close."""

    def columns_of(self, pixels: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame(self._rows(pixels), schema_overrides=_FLOATS)

    def _rows(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        means = pixels.mean(axis=(2, 3)).astype(np.float32) + 1
        if self.asset == "clip_embeddings":
            return [{"embedding": (mean / np.linalg.norm(mean)).tolist()} for mean in means]
        rows = []
        for mean in means:
            order = np.argsort(-mean)
            labels = [LABELS[position] for position in order]
            scores = (mean[order] / mean.sum()).tolist()
            rows.append({"label": labels[0], "confidence": scores[0], "labels": labels, "scores": scores})
        return rows


class ColourModels(PredictionModels):
    """Fake models of a run; another `version` is another digest."""

    version: int = 1

    @classmethod
    def over(cls, lake: Lake, settings: Settings, version: int = 1) -> ColourModels:
        made = cls(settings.models, Tensors(lake, settings.vision).geometry, settings.home, lake)
        made.version = version
        return made

    def predictors(self, stages: Sequence[str]) -> Sequence[Predictor]:
        """Colour predictors for stages with a model; the stage's own predictor for the others."""
        return [
            self._colours(stage.name) if stage.uses_models else stage.predictor(self)
            for stage in prediction_stages()
            if stage.name in stages
        ]

    def _colours(self, stage: str) -> ColourPredictor:
        model = spec("embedder" if stage == "clip_embeddings" else "classifier", self.version)
        return ColourPredictor(stage, model, self.preprocess_digest(model), self.open)

    @property
    def resolved(self) -> ResolvedModels:
        return ResolvedModels(
            ran="embedded",
            classifier=spec("classifier", self.version),
            embedder=spec("embedder", self.version),
            warning=None,
        )

    def notice(self) -> dict[str, object]:
        return {"models": "colour"}


class NoTracking(Tracking):
    """Replaces MLflow, which has its own tests and takes seconds to create its database."""

    def log_day(
        self, spec: MethodIdentity, day: date, dagster_run_id: str, meter: Meter, confidences: Sequence[float]
    ) -> dict[str, object]:
        return {}


def fakes(settings: Settings, version: int = 1) -> dict[str, object]:
    """The argument `resource_overrides` of `build_defs`."""
    return {"models": ColourModels.over(open_lake(settings), settings, version), "tracking": NoTracking("")}
