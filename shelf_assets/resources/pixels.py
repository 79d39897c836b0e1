"""The pixels of a day's photos, from wherever they are: the shards where they rest, and otherwise decoded in the same stream.

What is decoded on the way is handed on to be stored, unless the settings say that tensors do not rest.
"""

from collections.abc import Callable, Iterator

import polars as pl

from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.shards import Tensor, TensorDay, TensorFailure
from shelf_assets.resources.lake import LakeResource
from shelf_assets.resources.models import geometry_of
from shelf_assets.vision.engine import Clock
from shelf_assets.vision.intake import pixels_of
from shelf_assets.vision.preprocess import Geometry, Undecodable
from shelf_assets.vision.reasons import Reason


def pixels_of_day(
    lake: LakeResource, tensors: TensorDay, photos: pl.DataFrame, clock: Clock | None = None
) -> Iterator[Tensor]:
    """Tensors of accepted photos (image_id, sha256, key, size_bytes, etag, received_at): first those that rest, then the others.

    A photo that cannot be decoded is recorded as a failure of the day and yields nothing.
    """
    resting = tensors.ready(photos)
    yield from tensors.read(resting)
    missing = photos.join(resting, on="sha256", how="anti")
    if missing.is_empty():
        return
    keep = lake.settings.tensors == "stored"
    with tensors.writer(lake.settings.shard_images) as store:
        for item in lake.read_each(missing, tensor_maker(missing, geometry_of(lake.settings)), clock):
            if isinstance(item, Tensor):
                yield item
            # That an object is gone says something of the moment: whoever runs next shall look again.
            if keep or (isinstance(item, TensorFailure) and item.reason != Reason.gone):
                store.add(item)


def tensor_maker(
    photos: pl.DataFrame, geometry: Geometry
) -> Callable[[StoredObject, bytes | None], Tensor | TensorFailure]:
    """What makes the tensor of each of the photos (key, image_id, sha256), or says why there is none."""
    identities = {key: (image_id, sha256) for key, image_id, sha256 in photos["key", "image_id", "sha256"].iter_rows()}

    def tensor_of(stored: StoredObject, data: bytes | None) -> Tensor | TensorFailure:
        image_id, sha256 = identities[stored.key]
        try:
            return Tensor(image_id, sha256, pixels_of(data, sha256, geometry))
        except Undecodable as failed:
            return TensorFailure(image_id, sha256, str(failed.reason), failed.detail or "")

    return tensor_of
