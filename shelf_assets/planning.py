"""What a run would compute, before it runs: rows by cause, minutes from measured speed, euros. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, missing_predictions, unread_objects
from shelf_assets.resources.models import CLASSIFICATIONS, CLIP_EMBEDDINGS, ModelsResource, geometry_of
from shelf_assets.settings import Settings

# Before anything was measured here: images/s of two old cores with the embedded models.
ASSUMED_IMAGES_PER_SECOND = {
    "raw_images": 100.0,
    "image_tensors": 100.0,
    CLASSIFICATIONS: 25.0,
    CLIP_EMBEDDINGS: 25.0,
}


@dataclass(frozen=True)
class PlannedStage:
    """Work of one stage on one day. `cause` says why; speed is measured unless `assumed_speed`."""

    day: date
    stage: str
    cause: str
    images: int
    images_per_second: float
    assumed_speed: bool
    eur: float

    @property
    def seconds(self) -> float:
        return self.images / self.images_per_second


def plan_days(lake: Lake, models: ModelsResource, settings: Settings, days: Sequence[date]) -> list[PlannedStage]:
    speeds = measured_speeds(lake)
    stages: list[PlannedStage] = []
    for day in days:
        for stage, cause, images in _work_of(lake, models, settings, day):
            if images:
                speed = speeds.get(stage, ASSUMED_IMAGES_PER_SECOND[stage])
                eur = images / speed / 3600 * settings.eur_per_hour[stage]
                stages.append(PlannedStage(day, stage, cause, images, speed, stage not in speeds, eur))
    return stages


def measured_speeds(lake: Lake) -> dict[str, float]:
    """Median images/s of each stage over its newest thirty runs."""
    runs = lake.table("stage_runs").scan().filter(pl.col("wall_seconds") > 0).sort("finished_at").collect()
    recent = runs.group_by("stage").tail(30)
    speeds = recent.group_by("stage").agg((pl.col("images") / pl.col("wall_seconds")).median().alias("speed"))
    return dict(speeds.iter_rows())


def _work_of(lake: Lake, models: ModelsResource, settings: Settings, day: date) -> list[tuple[str, str, int]]:
    resting = lake.table("raw_images").scan(day, day).collect()
    unread = unread_objects(lake.listing(day), resting)
    known_keys = set(resting["key"])
    overwritten = unread.filter(pl.col("key").is_in(known_keys)).height
    fresh = unread.height - overwritten
    work = [("raw_images", "new objects", fresh), ("raw_images", "overwritten, or gone before", overwritten)]

    # How many of the unread photos will be accepted is not known before they are read: at most all of them.
    accepted = resting.filter(status=ACCEPTED)
    geometry = geometry_of(settings)
    tensors = lake.tensors(day, geometry.digest(), geometry.size_px)
    without_tensor = tensors.missing(accepted)
    predictable = pl.concat([tensors.ready(accepted), without_tensor])
    work += [
        ("image_tensors", "new objects (at most)", unread.height),
        ("image_tensors", "accepted, without tensor", without_tensor.height),
    ]
    for predictor in models.predictors([CLASSIFICATIONS, CLIP_EMBEDDINGS]):
        done = lake.table(predictor.asset).scan(day, day)
        done = done.select("image_id", "sha256", "model_digest", "preprocess_digest")
        missing = missing_predictions(
            predictable, done.collect(), predictor.spec.model_digest, predictor.preprocess_digest
        )
        other_model = missing.join(done.collect(), on=["image_id", "sha256"], how="semi").height
        work += [
            (predictor.asset, "new objects (at most)", unread.height),
            (predictor.asset, "model or preprocessing changed", other_model),
            (predictor.asset, "never predicted", missing.height - other_model),
        ]
    return work
