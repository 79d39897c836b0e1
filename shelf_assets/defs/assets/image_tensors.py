"""`image_tensors`: one 3 × 224 × 224 uint8 tensor per accepted image, EXIF-upright, RGB, model-neutral."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from shelf_assets.defs.assets.common import day_of
from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.defs.compute import CPU_POD, OWNERS_ML
from shelf_assets.defs.io_managers.tensors import TensorStream
from shelf_assets.defs.partitions import daily
from shelf_assets.lake.ledger import ACCEPTED
from shelf_assets.lake.tensor_store import Tensor, TensorFailure, Written
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.pipeline.costs import save_cost
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.pixels import decoded_photos
from shelf_assets.pipeline.stages.image_tensors import STAGE
from shelf_assets.vision.engine import StageTimer


@dg.asset(
    description=(
        "One tensor per accepted image: 3 × 224 × 224 uint8, EXIF-upright, RGB, not normalised; Arrow shards. `raw_images` "
        "cuts the tensors of what it accepts from the decode that proves the photo; what is still missing is made here. A "
        "photo that cannot be decoded is a row of the day's index with its reason."
    ),
    group_name=STAGE.group,
    kinds={"arrow", "python"},
    owners=OWNERS_ML,
    partitions_def=daily,
    automation_condition=late_safe,
    code_version=STAGE.code_version,
    io_manager_key="tensor_io",
    metadata={"dagster/storage_kind": "arrow"},
    op_tags=CPU_POD,
)
def image_tensors(
    context: dg.AssetExecutionContext,
    ingest: dg.ResourceParam[Ingest],
    raw_images: pl.DataFrame,
) -> dg.MaterializeResult[TensorStream]:
    day, tensors = day_of(context), ingest.tensors
    accepted = raw_images.filter(status=ACCEPTED)
    # If tensors are not made ahead, the predictions decode the photos.
    missing = tensors.day(day).index().missing(accepted) if tensors.made_ahead else accepted.clear()
    progress = Progress(f"image_tensors {day}", missing.height, context.log.info)
    meter = Meter("image_tensors", images=missing.height, bytes_read=int(missing["size_bytes"].sum()))
    timer = StageTimer()

    def stream() -> Iterator[Tensor | TensorFailure]:
        with meter.running():
            for item in decoded_photos(ingest.reader, missing, tensors.geometry, timer):
                yield item
                progress.advance()

    def written(_: Written) -> None:
        save_cost(ingest.lake, day, context.run.run_id, meter)

    return dg.MaterializeResult(
        value=TensorStream(stream(), written, timer),
        metadata={
            "accepted": accepted.height,
            "made_before": accepted.height - missing.height,
            "missing": missing.height,
        },
    )
