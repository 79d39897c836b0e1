"""The stage `clip_embeddings`: the vector of each accepted photo, by the run's embedder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shelf_assets.lake.schemas import FLOAT32_LIST, Column, prediction_table
from shelf_assets.pipeline.predictor import ModelPredictor
from shelf_assets.pipeline.stage import Facts, PredictionStage

if TYPE_CHECKING:
    from shelf_assets.pipeline.models import PredictionModels

CLIP_EMBEDDINGS = prediction_table(
    "clip_embeddings",
    "One row per accepted image and model: its unit vector.",
    {"embedding": Column(FLOAT32_LIST, "Vector of unit length in the model's shared image and text space.")},
)


class VectorPredictor(ModelPredictor):
    """The run's embedder."""

    def columns_of(self, answer: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame({"embedding": pl.Series(answer, dtype=FLOAT32_LIST)})


def predictor(models: PredictionModels) -> VectorPredictor:
    spec = models.resolved.embedder
    return VectorPredictor(CLIP_EMBEDDINGS.name, spec, models.preprocess_digest(spec), models.open)


def facts_of(row: Facts) -> Facts:
    """The row for people, with the length and the first numbers of its vector."""
    facts = dict(row)
    vector = facts.pop("embedding")
    shown = json.dumps([round(number, 3) for number in vector[:4]])  # type: ignore[index]
    return facts | {"embedding": f"{len(vector)} numbers, {shown[:-1]}, …]"}  # type: ignore[arg-type]


STAGE = PredictionStage(
    name="clip_embeddings",
    table=CLIP_EMBEDDINGS,
    predictor=predictor,
    uses_models=True,
    status_column="embedded",
    facts_of=facts_of,
)
