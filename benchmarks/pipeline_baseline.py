"""This pipeline, stage by stage through the product's own functions: validate, cut tensors, predict, commit. No Dagster.

The same calls as in the assets of the same names. Differences: nothing is logged, no run exists, and photos and results
are in two lakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from benchmarks.baselines import GEOMETRY, Models, Outcome
from benchmarks.meters import Span, timed
from benchmarks.place import DAY, Place
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import missing_predictions
from shelf_assets.observe.progress import Progress
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.photo_reader import PhotoReader
from shelf_assets.pipeline.pixels import decoded_photos, pixels_of_day
from shelf_assets.pipeline.predictor import ModelPredictor
from shelf_assets.pipeline.settings import PipelineSettings
from shelf_assets.pipeline.stages.classifications import LabelPredictor
from shelf_assets.pipeline.stages.clip_embeddings import VectorPredictor
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.vision.engine import StageTimer, Task, batched, run_tasks
from shelf_assets.vision.settings import VisionSettings

STAGES = ("raw_images", "image_tensors", "predictions")


@dataclass(frozen=True)
class Pipeline:
    """The stages over one place: photos are read from one lake, tables and tensors are written to another."""

    photos: Lake
    results: Lake
    ingest: Ingest

    @classmethod
    def over(cls, place: Place) -> Pipeline:
        photos, results, vision = place.photos(), place.results(), VisionSettings(fit=GEOMETRY.fit)
        reader = PhotoReader.of(photos, vision, PhotoSettings())
        return cls(photos, results, Ingest(results, reader, Tensors(results, vision), PhotoSettings().limits))

    def raw_images(self, day: date) -> int:
        """Validate and commit what was landed. Returns the number of rows."""
        table = self.results.table("raw_images")
        unread = self.ingest.unread(self.photos.listing(day), day)
        rows = self.ingest.rows(day, unread, Progress("raw_images", unread.height, _discard), StageTimer())
        table.commit(rows, days=[day])
        return rows.height

    def image_tensors(self, day: date) -> None:
        """Cut the tensors that are still missing."""
        tensors = self.ingest.tensors
        of_day = tensors.day(day)
        missing = of_day.index().missing(self.results.accepted(day))
        of_day.write(decoded_photos(self.ingest.reader, missing, tensors.geometry), tensors.shard_images)

    def predictions(self, day: date, models: Models, inference: dict[str, Span]) -> None:
        """Infer both models in one pass; `inference` receives the time of each model."""
        tensors = self.ingest.tensors
        of_day = tensors.day(day)
        index = of_day.index()
        photos = index.not_failed(self.results.accepted(day))
        opened = [
            (LabelPredictor, "classifications", models.classifier),
            (VectorPredictor, "clip_embeddings", models.embedder),
        ]
        tasks = []
        for (kind, stage, model), span in zip(opened, inference.values(), strict=True):
            preprocess_digest = model.spec.preprocess_digest({"digest": tensors.geometry.digest()})
            # Loaded once for all runs; the product opens the same class at the first photo.
            predictor = kind(stage, model.spec, preprocess_digest, lambda spec, loaded=model: loaded)
            tasks.append(self._task(day, predictor, photos, span))
        pixels = pixels_of_day(self.ingest.reader, tensors, of_day, index, photos)
        run_tasks(batched(pixels, models.batch_size), tasks, lambda _: None)

    def _task(self, day: date, predictor: ModelPredictor, photos: pl.DataFrame, span: Span) -> Task:
        table = self.results.table(predictor.asset)
        spec = predictor.spec
        existing = table.scan(day, day).select("image_id", "sha256", "model_digest", "preprocess_digest").collect()
        missing = missing_predictions(photos, existing, spec.model_digest, predictor.preprocess_digest)

        def commit(rows: pl.DataFrame) -> None:
            identified = rows.with_columns(
                day=pl.lit(day),
                model_id=pl.lit(spec.model_id),
                model_digest=pl.lit(spec.model_digest),
                preprocess_digest=pl.lit(predictor.preprocess_digest),
            )
            table.commit(identified, days=[day])

        return Task(
            name=predictor.asset,
            missing=set(missing.iter_rows()),
            submit=predictor.submit,
            commit=commit,
            timer=lambda: timed(span),
            chunk_images=PipelineSettings().commit_images,
        )


def run(place: Place, models: Models) -> Outcome:
    """A day's photos to committed predictions. Reading the predictions back is not part of the time."""
    stages = {name: Span() for name in STAGES}
    inference = {"classifier": Span(), "embedder": Span()}
    total = Span()
    pipeline = Pipeline.over(place)
    with timed(total):
        with timed(stages["raw_images"]):
            images = pipeline.raw_images(DAY)
        with timed(stages["image_tensors"]):
            pipeline.image_tensors(DAY)
        with timed(stages["predictions"]):
            pipeline.predictions(DAY, models, inference)
    outcome = Outcome(images, total, stages | {f"of which {name}": span for name, span in inference.items()})
    _read_back(place, outcome)
    return outcome


def _discard(line: str) -> None:
    """Progress is not printed."""


def _read_back(place: Place, outcome: Outcome) -> None:
    lake = place.results()
    keys = lake.accepted(DAY).select("image_id", "key")
    labels = lake.table("classifications").scan(DAY, DAY).select("image_id", "label", "confidence").collect()
    vectors = lake.table("clip_embeddings").scan(DAY, DAY).select("image_id", "embedding").collect()
    rows = keys.join(labels, on="image_id").join(vectors, on="image_id").sort("key")
    outcome.keys, outcome.labels = rows["key"].to_list(), rows["label"].to_list()
    outcome.scores = rows["confidence"].to_numpy()
    outcome.embeddings = np.array(rows["embedding"].to_list(), dtype=np.float32)
