"""This pipeline, stage by stage through the product's own functions: judge, tensors, predict, commit. No Dagster.

The same calls as in the assets of the same names; what differs is that nothing is logged and no run exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import polars as pl

from shelf_assets.lake.ledger import ACCEPTED, REJECTED, missing_predictions, unread_objects
from shelf_assets.lake.object_store import StoredObject, image_id_of
from shelf_assets.lake.shards import Tensor, TensorFailure
from shelf_assets.settings import load_settings
from shelf_assets.vision.inspect import Limits
from shelf_assets.vision.intake import judge, pixels_of
from shelf_assets.vision.predict import Task, run_tasks
from shelf_assets.vision.preprocess import Undecodable
from shelf_assets_tests.bench.meters import Span, timed
from shelf_assets_tests.bench.place import DAY, Place
from shelf_assets_tests.bench.ways import GEOMETRY, TOP_K, Models, Outcome

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
        found = judge(stored.size_bytes, data, limits)
        verdict = found.verdict
        return {
            "day": DAY,
            "image_id": image_id_of(stored.key),
            "key": stored.key,
            "size_bytes": stored.size_bytes,
            "etag": stored.etag,
            "sha256": found.sha256,
            "format": verdict.format,
            "width_px": verdict.width_px,
            "height_px": verdict.height_px,
            "exif_orientation": verdict.exif_orientation,
            "received_at": stored.received_at,
            "status": ACCEPTED if verdict.ok else REJECTED,
            "reason": str(verdict.reason) if verdict.reason else None,
            "reason_detail": verdict.detail,
            "duplicate_of": None,
        }

    rows = list(read_each(place, unread, judged))
    table.commit(pl.DataFrame(rows, schema=table.spec.schema), days=[DAY])
    return len(rows)


def image_tensors(place: Place) -> None:
    lake = place.results()
    tensors = lake.tensors(DAY, GEOMETRY.digest(), GEOMETRY.size_px)
    missing = tensors.missing(lake.accepted(DAY))
    sha256_of = dict(zip(missing["key"], missing["sha256"], strict=True))
    id_of = dict(zip(missing["key"], missing["image_id"], strict=True))

    def tensor_of(stored: StoredObject, data: bytes | None) -> Tensor | TensorFailure:
        image_id, sha256 = id_of[stored.key], sha256_of[stored.key]
        try:
            return Tensor(image_id, sha256, pixels_of(data, sha256, GEOMETRY))
        except Undecodable as failed:
            return TensorFailure(image_id, sha256, str(failed.reason), failed.detail)

    tensors.write(read_each(place, missing, tensor_of), SETTINGS.shard_images)


def predictions(place: Place, models: Models, inference: dict[str, Span]) -> None:
    lake = place.results()
    accepted = lake.accepted(DAY)
    tensors = lake.tensors(DAY, GEOMETRY.digest(), GEOMETRY.size_px)

    def classify(pixels: np.ndarray) -> list[dict[str, Any]]:
        output = models.classifier.predict(pixels, top_k=TOP_K)
        return [
            {"label": labels[0], "confidence": scores[0], "labels": labels, "scores": scores}
            for labels, scores in zip(output.labels, output.scores.tolist(), strict=True)
        ]

    def embed(pixels: np.ndarray) -> list[dict[str, Any]]:
        return [{"embedding": vector} for vector in models.embedder.embed_images(pixels)]

    tasks = [
        _task(place, "classifications", models.classifier.spec, accepted, classify, inference["classifier"]),
        _task(place, "clip_embeddings", models.embedder.spec, accepted, embed, inference["embedder"]),
    ]
    run_tasks(tensors.batches(accepted, models.batch_size), tasks, lambda _: None)


def _task(
    place: Place,
    name: str,
    spec: Any,
    accepted: pl.DataFrame,
    infer: Callable[[np.ndarray], list[dict[str, Any]]],
    span: Span,
) -> Task:
    table = place.results().table(name)
    identity = {
        "day": DAY,
        "model_id": spec.model_id,
        "model_digest": spec.model_digest,
        "preprocess_digest": spec.preprocess_digest({"digest": GEOMETRY.digest()}),
    }
    resting = table.scan(DAY, DAY).select("image_id", "sha256", "model_digest", "preprocess_digest").collect()
    missing = missing_predictions(accepted, resting, identity["model_digest"], identity["preprocess_digest"])

    def commit(rows: list[dict[str, Any]]) -> None:
        table.commit(pl.DataFrame([identity | row for row in rows], schema=table.spec.schema), days=[DAY])

    return Task(
        name=name,
        missing=set(missing.iter_rows()),
        infer=infer,
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
