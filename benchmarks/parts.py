"""CPU-ms of each part of the work outside the models, measured alone on the photos of a place."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.baselines import GEOMETRY, Models
from benchmarks.meters import cpu_ms_per_item
from benchmarks.pipeline_baseline import Pipeline
from benchmarks.place import DAY, Place
from shelf_assets.lake.object_store import StoredObject, image_id_of
from shelf_assets.lake.tensor_store import Tensor, TensorDay
from shelf_assets.photos.limits import Limits
from shelf_assets.photos.validator import validate
from shelf_assets.pipeline.stages.clip_embeddings import CLIP_EMBEDDINGS
from shelf_assets.vision.photo_pixels import pixels_of

if TYPE_CHECKING:
    from benchmarks.plain_baseline import PlainModels

MAX_PHOTOS = 24
_RUNS = iter(range(1_000_000))


def of_pipeline(place: Place, models: Models) -> dict[str, float]:
    """The pipeline's parts. A Delta commit costs the same for one photo and for thousands, so its figure is per commit."""
    reader = Pipeline.over(place).ingest.reader
    listing = place.photos().listing(DAY).head(MAX_PHOTOS)
    photos = {key: place.photos().objects.get(key) for key in listing["key"]}
    sha256_of = {key: hashlib.sha256(data).hexdigest() for key, data in photos.items()}
    count, limits = len(photos), Limits()
    tensors = [
        Tensor(image_id_of(key), sha256_of[key], pixels_of(data, sha256_of[key], GEOMETRY))
        for key, data in photos.items()
    ]
    wanted = pl.DataFrame([(t.image_id, t.sha256) for t in tensors], schema=["image_id", "sha256"], orient="row")

    def take(stored: StoredObject, data: bytes | None) -> None:
        assert data is not None

    def fresh() -> Place:
        return place.for_run(f"parts-{next(_RUNS)}")

    def day_of(one: Place) -> TensorDay:
        return one.results().tensors(DAY, GEOMETRY.digest(), GEOMETRY.size_px)

    stored_day = day_of(fresh())
    stored_day.write(tensors, len(tensors))
    return {
        "read": cpu_ms_per_item(lambda: list(reader.read_each(listing, take)), count),
        "sha256": cpu_ms_per_item(lambda: [hashlib.sha256(data) for data in photos.values()], count),
        "validate and cut the tensor, one decode": cpu_ms_per_item(
            lambda: [validate(len(data), data, limits, GEOMETRY) for data in photos.values()], count
        ),
        "write shard": cpu_ms_per_item(lambda: day_of(fresh()).write(tensors, len(tensors)), count),
        "read shard": cpu_ms_per_item(lambda: list(stored_day.read(wanted)), count),
        "each Delta commit, whole": cpu_ms_per_item(
            lambda: fresh().results().table("clip_embeddings").commit(_embeddings(tensors, models), days=[DAY]), 1
        ),
    }


def of_plain(place: Place, models: PlainModels) -> dict[str, float]:
    """The parts of the plain baseline, which reads and decodes once for each of the two models."""
    # Imports torch, which the process of a baseline without torch must not load.
    from benchmarks.plain_baseline import Photos, list_keys, transform_of, upright, write_plain

    keys = list_keys(place)[:MAX_PHOTOS]
    transform = transform_of(models.specs[0])
    photos = Photos(place, keys, transform)

    def read(key: str) -> bytes:
        with photos.open(key) as file:
            return bytes(file.read())

    held = [read(key) for key in keys]
    vectors = np.zeros((len(keys), 512)).tolist()
    return {
        "read (done twice)": cpu_ms_per_item(lambda: [read(key) for key in keys], len(keys)),
        "decode and transform (done twice)": cpu_ms_per_item(
            lambda: [transform(upright(io.BytesIO(data))) for data in held], len(keys)
        ),
        "each Delta write, whole": cpu_ms_per_item(
            lambda: write_plain(place.for_run(f"parts-{next(_RUNS)}"), "clip_embeddings", keys, {"embedding": vectors}),
            1,
        ),
    }


def _embeddings(tensors: list[Tensor], models: Models) -> pl.DataFrame:
    spec = models.embedder.spec
    constant = {
        "day": DAY,
        "model_id": spec.model_id,
        "model_digest": spec.model_digest,
        "preprocess_digest": GEOMETRY.digest(),
        "embedding": np.zeros(512, np.float32),
        "inferred_at": datetime.now(UTC),
    }
    rows = [constant | {"image_id": t.image_id, "sha256": t.sha256} for t in tensors]
    return pl.DataFrame(rows, schema=CLIP_EMBEDDINGS.schema)
