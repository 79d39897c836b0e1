"""`image_tensors`: one 3 × 224 × 224 uint8 tensor per accepted image, EXIF-upright, RGB, model-neutral."""

from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl

from shelf_assets.assets.common import day_of, save_cost
from shelf_assets.automation.conditions import late_safe
from shelf_assets.compute import CPU_POD, OWNERS_ML
from shelf_assets.lake.ledger import ACCEPTED
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.shards import Tensor, TensorFailure, Written
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.partitions import daily
from shelf_assets.resources.lake import LakeResource
from shelf_assets.resources.tensor_io import TensorIOManager, TensorStream
from shelf_assets.vision.intake import pixels_of
from shelf_assets.vision.preprocess import Geometry, Undecodable


@dg.asset(
    description=(
        "One tensor per accepted image: 3 × 224 × 224 uint8, EXIF-upright, RGB, not normalised; Arrow shards, written as a "
        "stream. A photo that cannot be decoded is a row of the day's index with its reason."
    ),
    group_name="vision",
    kinds={"arrow", "python"},
    owners=OWNERS_ML,
    partitions_def=daily,
    automation_condition=late_safe,
    code_version="1",
    io_manager_key="tensor_io",
    metadata={"dagster/storage_kind": "arrow"},
    op_tags=CPU_POD,
)
def image_tensors(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    tensor_io: dg.ResourceParam[TensorIOManager],
    raw_images: pl.DataFrame,
) -> dg.MaterializeResult[TensorStream]:
    day = day_of(context)
    accepted = raw_images.filter(status=ACCEPTED)
    missing = tensor_io.day(day).missing(accepted)
    progress = Progress(f"image_tensors {day}", missing.height, context.log.info)
    meter = Meter("image_tensors", images=missing.height, bytes_read=int(missing["size_bytes"].sum()))

    def stream() -> Iterator[Tensor | TensorFailure]:
        with meter.running():
            for item in lake.read_each(missing, tensor_maker(missing, tensor_io.geometry)):
                yield item
                progress.advance()

    def written(_: Written) -> None:
        save_cost(context, lake, day, meter)

    return dg.MaterializeResult(
        value=TensorStream(stream(), written),
        metadata={"accepted": accepted.height, "missing": missing.height},
    )


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
