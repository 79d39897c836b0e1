"""The stage `classifications`: the top labels of each accepted photo, by the run's classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shelf_assets.lake.schemas import FLOAT32_LIST, Column, prediction_table
from shelf_assets.pipeline.predictor import ModelPredictor
from shelf_assets.pipeline.stage import Facts, PredictionStage

if TYPE_CHECKING:
    from shelf_assets.pipeline.models import PredictionModels

CLASSIFICATIONS = prediction_table(
    "classifications",
    "One row per accepted image and model: the top labels and their scores.",
    {
        "label": Column(pl.String, "Label with the highest score: a raw prediction, not yet an applied label."),
        "confidence": Column(pl.Float32, "Softmax probability of `label`, 0 to 1."),
        "labels": Column(pl.List(pl.String), "Top-k labels, best first."),
        "scores": Column(FLOAT32_LIST, "Softmax probabilities of `labels`."),
    },
)


@dataclass
class LabelPredictor(ModelPredictor):
    """The run's classifier; `top_k` labels a photo."""

    top_k: int = 5

    def columns_of(self, answer: np.ndarray) -> pl.DataFrame:
        return top_labels(answer, self.model.labels, self.top_k)


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


def predictor(models: PredictionModels) -> LabelPredictor:
    spec = models.resolved.classifier
    return LabelPredictor(
        CLASSIFICATIONS.name, spec, models.preprocess_digest(spec), models.open, top_k=models.settings.top_k
    )


def facts_of(row: Facts) -> Facts:
    """The row for people, with each label beside its score."""
    facts = dict(row)
    pairs = zip(facts.pop("labels"), facts.pop("scores"), strict=True)  # type: ignore[call-overload]
    return facts | {"top labels": ", ".join(f"{label} {score:.1%}" for label, score in pairs)}


STAGE = PredictionStage(
    name="classifications",
    table=CLASSIFICATIONS,
    predictor=predictor,
    uses_models=True,
    status_column="classified",
    facts_of=facts_of,
    confidence_column="confidence",
)
