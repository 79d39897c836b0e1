"""The pixels of a day's photos: stored tensors, and decoded ones for photos without, in one stream.

Tensors that are decoded here are stored, unless the settings say that tensors are not kept.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.tensor_index import TensorIndex
from shelf_assets.lake.tensor_store import Tensor, TensorDay, TensorFailure
from shelf_assets.pipeline.photo_reader import PhotoReader
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.vision.engine import StageTimer
from shelf_assets.vision.gpu_decode import BATCH_PHOTOS, tensors_on_gpu
from shelf_assets.vision.photo_pixels import pixels_of, unchanged
from shelf_assets.vision.preprocess import Geometry, Undecodable
from shelf_assets.vision.reasons import Reason

# The bytes of an accepted photo, unchanged since it was accepted.
Fetched = tuple[str, str, bytes]


def pixels_of_day(
    reader: PhotoReader,
    tensors: Tensors,
    day: TensorDay,
    index: TensorIndex,
    photos: pl.DataFrame,
    timer: StageTimer | None = None,
) -> Iterator[Tensor]:
    """Tensors of accepted photos (image_id, sha256, key, size_bytes, etag, received_at): stored ones first, then the others.

    `index` is the day's tensor index. A photo that cannot be decoded is recorded as a failure of the day and
    yields nothing.
    """
    existing = index.ready(photos)
    yield from day.read(existing, index)
    missing = photos.join(existing, on="sha256", how="anti")
    if missing.is_empty():
        return
    with day.writer(tensors.shard_images) as store:
        for item in decoded_photos(reader, missing, tensors.geometry, timer):
            # A vanished object may come back: the next run tries again.
            if tensors.kept or (isinstance(item, TensorFailure) and item.reason != Reason.gone):
                store.add(item)
            if isinstance(item, Tensor):
                yield item


def decoded_photos(
    reader: PhotoReader, photos: pl.DataFrame, geometry: Geometry, timer: StageTimer | None = None
) -> Iterator[Tensor | TensorFailure]:
    """Read and decode accepted photos, in their order: each becomes its tensor, or the reason why there is none."""
    if geometry.decoder == "cpu":
        yield from reader.read_each(photos, tensor_maker(photos, geometry), timer)
        return
    fetched: list[Fetched] = []
    for item in reader.read_each(photos, _fetcher(photos), timer):
        if isinstance(item, TensorFailure):
            yield item
            continue
        fetched.append(item)
        if len(fetched) == BATCH_PHOTOS:
            yield from _decoded_on_gpu(fetched, geometry)
            fetched = []
    yield from _decoded_on_gpu(fetched, geometry)


def tensor_maker(
    photos: pl.DataFrame, geometry: Geometry
) -> Callable[[StoredObject, bytes | None], Tensor | TensorFailure]:
    """A function that makes the tensor of one of the photos (key, image_id, sha256), or the reason why there is none."""
    identities = _identities(photos)

    def tensor_of(stored: StoredObject, data: bytes | None) -> Tensor | TensorFailure:
        image_id, sha256 = identities[stored.key]
        try:
            return Tensor(image_id, sha256, pixels_of(data, sha256, geometry))
        except Undecodable as failed:
            return _failure(image_id, sha256, failed)

    return tensor_of


def _fetcher(photos: pl.DataFrame) -> Callable[[StoredObject, bytes | None], Fetched | TensorFailure]:
    identities = _identities(photos)

    def fetch(stored: StoredObject, data: bytes | None) -> Fetched | TensorFailure:
        image_id, sha256 = identities[stored.key]
        try:
            return image_id, sha256, unchanged(data, sha256)
        except Undecodable as failed:
            return _failure(image_id, sha256, failed)

    return fetch


def _decoded_on_gpu(fetched: list[Fetched], geometry: Geometry) -> Iterator[Tensor | TensorFailure]:
    made = tensors_on_gpu([data for _, _, data in fetched], geometry) if fetched else []
    for (image_id, sha256, _), found in zip(fetched, made, strict=True):
        if isinstance(found, np.ndarray):
            yield Tensor(image_id, sha256, found)
        else:
            yield _failure(image_id, sha256, found)


def _failure(image_id: str, sha256: str, failed: Undecodable) -> TensorFailure:
    return TensorFailure(image_id, sha256, str(failed.reason), failed.detail or "")


def _identities(photos: pl.DataFrame) -> dict[str, tuple[str, str]]:
    return {key: (image_id, sha256) for key, image_id, sha256 in photos["key", "image_id", "sha256"].iter_rows()}
