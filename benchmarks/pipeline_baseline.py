"""This pipeline, stage by stage through the product's own functions: judge and cut, predict, commit. No Dagster runs.

The same calls as in the assets of the same names; what differs is that nothing is logged, no run exists, and photos and
results lie in lakes of their own.
"""

from __future__ import annotations

import os

import numpy as np
import polars as pl
from shelf_assets.defs.resources.lake import LakeResource

from benchmarks.baselines import GEOMETRY, Models, Outcome
from benchmarks.meters import Span, timed
from benchmarks.place import DAY, Place
from shelf_assets.defs.assets.raw_images import validated_objects
from shelf_assets.defs.io_managers.tensors import TensorIOManager
from shelf_assets.lake.ledger import missing_predictions, unread_objects
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.observe.progress import Progress
from shelf_assets.pipeline.pixels import decoded_photos, pixels_of_day
from shelf_assets.pipeline.predictor import ModelPredictor
from shelf_assets.pipeline.stages.classifications import LabelPredictor
from shelf_assets.pipeline.stages.clip_embeddings import VectorPredictor
from shelf_assets.vision.engine import Task, batched, run_tasks

STAGES = ("raw_images", "image_tensors", "predictions")


def run(place: Place, models: Models) -> Outcome:
    """A day's photos to committed predictions. Reading the predictions back is not part of the time."""
    stages = {name: Span() for name in STAGES}
    inference = {"classifier": Span(), "embedder": Span()}
    total = Span()
    lake, tensor_io = resources(place)
    with timed(total):
        with timed(stages["raw_images"]):
            images = raw_images(place, lake, tensor_io)
        with timed(stages["image_tensors"]):
            image_tensors(place, lake, tensor_io)
        with timed(stages["predictions"]):
            predictions(place, lake, tensor_io.day(DAY), models, inference)
    outcome = Outcome(images, total, stages | {f"of which {name}": span for name, span in inference.items()})
    _read_back(place, outcome)
    return outcome


def resources(place: Place) -> tuple[LakeResource, TensorIOManager]:
    """The lake of the photos, and the tensors of the lake of the results."""
    os.environ.update(place.environment())
    return LakeResource(url=place.photos_url), TensorIOManager(lake=LakeResource(url=place.results_url))


def raw_images(place: Place, lake: LakeResource, tensor_io: TensorIOManager) -> int:
    table = place.results().table("raw_images")
    unread = unread_objects(lake.lake.listing(DAY), table.scan(DAY, DAY).collect())
    rows = validated_objects(lake, tensor_io, DAY, unread, Progress("raw_images", unread.height, _unheard))
    table.commit(rows, days=[DAY])
    return rows.height


def image_tensors(place: Place, lake: LakeResource, tensor_io: TensorIOManager) -> None:
    tensors = tensor_io.day(DAY)
    missing = tensors.index().missing(place.results().accepted(DAY))
    tensors.write(decoded_photos(lake, missing), lake.settings.vision.shard_images)


def predictions(
    place: Place, lake: LakeResource, tensors: TensorDay, models: Models, inference: dict[str, Span]
) -> None:
    index = tensors.index()
    photos = index.not_failed(place.results().accepted(DAY))
    opened = [
        (LabelPredictor, "classifications", models.classifier),
        (VectorPredictor, "clip_embeddings", models.embedder),
    ]
    tasks = []
    for (kind, stage, model), span in zip(opened, inference.values(), strict=True):
        preprocess_digest = model.spec.preprocess_digest({"digest": GEOMETRY.digest()})
        # Loaded once for all runs; in the product it is the same class.
        predictor = kind(stage, model.spec, preprocess_digest, lambda spec, loaded=model: loaded)
        tasks.append(_task(place, predictor, photos, span, lake.settings.pipeline.commit_images))
    run_tasks(batched(pixels_of_day(lake, tensors, index, photos), models.batch_size), tasks, lambda _: None)


def _task(place: Place, predictor: ModelPredictor, photos: pl.DataFrame, span: Span, chunk_images: int) -> Task:
    table = place.results().table(predictor.asset)
    spec = predictor.spec
    resting = table.scan(DAY, DAY).select("image_id", "sha256", "model_digest", "preprocess_digest").collect()
    missing = missing_predictions(photos, resting, spec.model_digest, predictor.preprocess_digest)

    def commit(rows: pl.DataFrame) -> None:
        identified = rows.with_columns(
            day=pl.lit(DAY),
            model_id=pl.lit(spec.model_id),
            model_digest=pl.lit(spec.model_digest),
            preprocess_digest=pl.lit(predictor.preprocess_digest),
        )
        table.commit(identified, days=[DAY])

    return Task(
        name=predictor.asset,
        missing=set(missing.iter_rows()),
        submit=predictor.submit,
        commit=commit,
        timer=lambda: timed(span),
        chunk_images=chunk_images,
    )


def _unheard(line: str) -> None:
    pass


def _read_back(place: Place, outcome: Outcome) -> None:
    lake = place.results()
    keys = lake.accepted(DAY).select("image_id", "key")
    labels = lake.table("classifications").scan(DAY, DAY).select("image_id", "label", "confidence").collect()
    vectors = lake.table("clip_embeddings").scan(DAY, DAY).select("image_id", "embedding").collect()
    rows = keys.join(labels, on="image_id").join(vectors, on="image_id").sort("key")
    outcome.keys, outcome.labels = rows["key"].to_list(), rows["label"].to_list()
    outcome.scores = rows["confidence"].to_numpy()
    outcome.embeddings = np.array(rows["embedding"].to_list(), dtype=np.float32)
