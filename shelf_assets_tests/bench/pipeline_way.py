"""This pipeline, stage by stage through the product's own functions: judge, tensors, predict, commit. No Dagster.

The same calls as in the assets of the same names; what differs is that nothing is logged and no run exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import polars as pl

from shelf_assets.assets.image_tensors import tensor_maker
from shelf_assets.assets.raw_images import row_of
from shelf_assets.lake.ledger import missing_predictions, unread_objects
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.resources.models import CLASSIFICATIONS, CLIP_EMBEDDINGS, Predictor
from shelf_assets.settings import load_settings
from shelf_assets.vision.inspect import Limits
from shelf_assets.vision.intake import judge
from shelf_assets.vision.predict import Task, run_tasks
from shelf_assets_tests.bench.meters import Span, timed
from shelf_assets_tests.bench.place import DAY, Place
from shelf_assets_tests.bench.ways import GEOMETRY, Models, Outcome

Result = TypeVar("Result")
STAGES = ("raw_images", "image_tensors", "predictions")
SETTINGS = load_settings()


def run(place: Place, models: Models) -> Outcome:
    """A day's photos to committed predictions. Reading the predictions back is not part of the time."""
    stages = {name: Span() for name in STAGES}
    inference = {"classifier": Span(), "embedder": Span()}
    total = Span()
    with timed(total):
        with timed(stages["raw_images"]):
            images = raw_images(place)
        with timed(stages["image_tensors"]):
            image_tensors(place)
        with timed(stages["predictions"]):
            predictions(place, models, inference)
    outcome = Outcome(images, total, stages | {f"of which {name}": span for name, span in inference.items()})
    _read_back(place, outcome)
    return outcome


def raw_images(place: Place) -> int:
    table, photos = place.results().table("raw_images"), place.photos()
    limits = Limits(max_bytes=SETTINGS.max_photo_bytes, max_pixels=SETTINGS.max_photo_pixels)
    unread = unread_objects(photos.listing(DAY), table.scan(DAY, DAY).collect())

    def judged(stored: StoredObject, data: bytes | None) -> dict[str, object]:
        return row_of(DAY, stored, judge(stored.size_bytes, data, limits))

    rows = list(read_each(place, unread, judged))
    table.commit(pl.DataFrame(rows, schema=table.spec.schema), days=[DAY])
    return len(rows)


def image_tensors(place: Place) -> None:
    lake = place.results()
    tensors = lake.tensors(DAY, GEOMETRY.digest(), GEOMETRY.size_px)
    missing = tensors.missing(lake.accepted(DAY))
    tensors.write(read_each(place, missing, tensor_maker(missing, GEOMETRY)), SETTINGS.shard_images)


def predictions(place: Place, models: Models, inference: dict[str, Span]) -> None:
    lake = place.results()
    accepted = lake.accepted(DAY)
    tensors = lake.tensors(DAY, GEOMETRY.digest(), GEOMETRY.size_px)

    loaded = {CLASSIFICATIONS: models.classifier, CLIP_EMBEDDINGS: models.embedder}
    tasks = [
        _task(place, _predictor(asset, model), accepted, span)
        for (asset, model), span in zip(loaded.items(), inference.values(), strict=True)
    ]
    run_tasks(tensors.batches(accepted, models.batch_size), tasks, lambda _: None)


def _predictor(asset: str, model: Any) -> Predictor:
    digest = model.spec.preprocess_digest({"digest": GEOMETRY.digest()})
    return Predictor(asset, model.spec, digest, SETTINGS, model)


def _task(place: Place, predictor: Predictor, accepted: pl.DataFrame, span: Span) -> Task:
    table = place.results().table(predictor.asset)
    identity = {
        "day": DAY,
        "model_id": predictor.spec.model_id,
        "model_digest": predictor.spec.model_digest,
        "preprocess_digest": predictor.preprocess_digest,
    }
    resting = table.scan(DAY, DAY).select("image_id", "sha256", "model_digest", "preprocess_digest").collect()
    missing = missing_predictions(accepted, resting, identity["model_digest"], identity["preprocess_digest"])

    def commit(rows: list[dict[str, Any]]) -> None:
        table.commit(pl.DataFrame([identity | row for row in rows], schema=table.spec.schema), days=[DAY])

    return Task(
        name=predictor.asset,
        missing=set(missing.iter_rows()),
        infer=predictor.infer,
        commit=commit,
        timer=lambda: timed(span),
        chunk_images=SETTINGS.commit_images,
    )


def read_each(
    place: Place, photos: pl.DataFrame, work: Callable[[StoredObject, bytes | None], Result]
) -> Iterator[Result]:
    columns = photos.select("key", "size_bytes", "etag", "received_at")
    return place.photos().objects.read_each(
        (StoredObject(*row) for row in columns.iter_rows()),
        work,
        in_flight_objects=SETTINGS.in_flight_objects,
        in_flight_bytes=SETTINGS.in_flight_bytes,
        work_slots=SETTINGS.decode_slots,
        skip_above_bytes=SETTINGS.max_photo_bytes,
    )


def _read_back(place: Place, outcome: Outcome) -> None:
    lake = place.results()
    keys = lake.accepted(DAY).select("image_id", "key")
    labels = lake.table("classifications").scan(DAY, DAY).select("image_id", "label", "confidence").collect()
    vectors = lake.table("clip_embeddings").scan(DAY, DAY).select("image_id", "embedding").collect()
    rows = keys.join(labels, on="image_id").join(vectors, on="image_id").sort("key")
    outcome.keys, outcome.labels = rows["key"].to_list(), rows["label"].to_list()
    outcome.scores = rows["confidence"].to_numpy()
    outcome.embeddings = np.array(rows["embedding"].to_list(), dtype=np.float32)
