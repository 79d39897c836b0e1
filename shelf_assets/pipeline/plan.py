"""The plan of a run: photos by cause, minutes at the measured speed, euros. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, missing_predictions, unread_objects
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.pipeline.models import PredictionModels
from shelf_assets.pipeline.prices import eur_per_hour
from shelf_assets.pipeline.settings import PipelineSettings
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.registry import STAGE_NAMES, stages

# Used until speeds are measured here: images/s on two old cores, from docs/benchmarks.
ASSUMED_BY_MODELS = {"embedded": 25.0, "production": 12.0}


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


def plan_days(
    tensors: Tensors, models: PredictionModels, settings: PipelineSettings, days: Sequence[date]
) -> list[PlannedStage]:
    """The work of each stage on each day; stages without work are left out."""
    speeds = measured_speeds(tensors.lake)
    assumptions = {stage.name: stage.assumed_images_per_second for stage in stages()}
    prices = eur_per_hour(settings.eur_per_hour)
    planned: list[PlannedStage] = []
    for day in days:
        for stage, model_id, cause, images in _work_of(tensors, models, day):
            if images:
                assumed = assumptions[stage] or ASSUMED_BY_MODELS[models.resolved.ran]
                speed = speeds.get((stage, model_id), assumed)
                eur = images / speed / 3600 * prices[stage]
                planned.append(PlannedStage(day, stage, cause, images, speed, (stage, model_id) not in speeds, eur))
    return planned


def photos_of_work(
    tensors: Tensors, models: PredictionModels, days: Sequence[date], assets: Collection[str], most_photos: int
) -> int:
    """Photos that a run of these assets would work on: the sum over the days of their busiest stage's.

    Counting stops above `most_photos`, and reads nothing where none of the assets is a stage.
    """
    selected = [name for name in STAGE_NAMES if name in assets]
    photos = 0
    for day in days if selected else ():
        photos += max((images for *_, images in _work_of(tensors, models, day, selected)), default=0)
        if photos > most_photos:
            break
    return photos


def measured_speeds(lake: Lake) -> dict[tuple[str, str | None], float]:
    """Median images/s of each (stage, model_id or None) over its newest thirty runs."""
    runs = lake.table("stage_runs").scan().filter(pl.col("wall_seconds") > 0).sort("finished_at").collect()
    recent = runs.group_by("stage", "model_id").tail(30)
    speed = (pl.col("images") / pl.col("wall_seconds")).median().alias("speed")
    rows = recent.group_by("stage", "model_id").agg(speed).iter_rows()
    return {(stage, model_id): speed for stage, model_id, speed in rows}


def _work_of(
    tensors: Tensors, models: PredictionModels, day: date, selected: Collection[str] = STAGE_NAMES
) -> list[tuple[str, str | None, str, int]]:
    """(stage, model_id or None, cause, photos) of the selected stages."""
    lake = tensors.lake
    rows = lake.table(RAW_IMAGES.name).scan(day, day).collect()
    work: list[tuple[str, str | None, str, int]] = []
    unread_photos = 0
    # What a run does not read, it does not predict either.
    if RAW_IMAGES.name in selected:
        unread = unread_objects(lake.listing(day), rows)
        unread_photos = unread.height
        overwritten = unread.filter(pl.col("key").is_in(set(rows["key"]))).height
        work += [
            (RAW_IMAGES.name, None, "new objects", unread_photos - overwritten),
            (RAW_IMAGES.name, None, "overwritten, or gone before", overwritten),
        ]

    # The number of unread photos that will be accepted is unknown before they are read: at most all of them.
    accepted = rows.filter(status=ACCEPTED)
    index = tensors.day(day).index()
    # Tensors of new objects are cut where those are validated.
    if "image_tensors" in selected:
        without_tensor = index.missing(accepted).height if tensors.made_ahead else 0
        work.append(("image_tensors", None, "accepted, without tensor", without_tensor))
    predictable = index.not_failed(accepted)
    for predictor in models.predictors([*selected]):
        done = lake.table(predictor.asset).scan(day, day)
        keys = done.select("image_id", "sha256", "model_digest", "preprocess_digest").collect()
        missing = missing_predictions(predictable, keys, predictor.spec.model_digest, predictor.preprocess_digest)
        other_model = missing.join(keys, on=["image_id", "sha256"], how="semi").height
        work += [
            (predictor.asset, predictor.spec.model_id, "new objects (at most)", unread_photos),
            (predictor.asset, predictor.spec.model_id, "model or preprocessing changed", other_model),
            (predictor.asset, predictor.spec.model_id, "never predicted", missing.height - other_model),
        ]
    return work
