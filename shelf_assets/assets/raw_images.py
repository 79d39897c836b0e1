"""`raw_images`: one row per object of a day, accepted, duplicate or rejected with its reason."""

from datetime import date

import dagster as dg
import numpy as np
import polars as pl

from shelf_assets.assets.common import day_of, save_cost
from shelf_assets.automation.conditions import late_safe
from shelf_assets.compute import CPU_POD, OWNERS_ML
from shelf_assets.intake.owners import uploader_of
from shelf_assets.intake.validator import Judged, judge
from shelf_assets.lake.deposits import Deposit
from shelf_assets.lake.ledger import ACCEPTED, REJECTED, unread_objects
from shelf_assets.lake.object_store import StoredObject, image_id_of
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.lake.shards import Tensor
from shelf_assets.observe.catalogue import table_description, table_metadata
from shelf_assets.observe.landing import digest, is_reported, landing_report
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.partitions import daily
from shelf_assets.resources.lake import LakeResource
from shelf_assets.resources.tensor_io import TensorIOManager
from shelf_assets.vision.engine import Clock

# A row as Python objects takes ten times the memory of one in a frame.
_ROWS_AS_OBJECTS = 4096


@dg.asset(
    deps=["landing"],
    description=table_description(
        "raw_images", "Reads only objects that are new or were overwritten since the last run."
    ),
    group_name="intake",
    kinds={"delta", "python"},
    owners=OWNERS_ML,
    partitions_def=daily,
    automation_condition=late_safe,
    code_version="1",
    io_manager_key="delta_io",
    metadata=table_metadata("raw_images"),
    op_tags=CPU_POD,
)
def raw_images(
    context: dg.AssetExecutionContext, lake: LakeResource, tensor_io: dg.ResourceParam[TensorIOManager]
) -> dg.MaterializeResult[pl.DataFrame]:
    day = day_of(context)
    listed = lake.lake.listing(day)
    listing = listed.select("key", "etag", "size_bytes").rows()
    report = landing_report(day, listing)
    if not is_reported(context.instance, report):
        context.log_event(report)
    unread = unread_objects(listed, lake.lake.table("raw_images").scan(day, day).collect())
    progress = Progress(f"raw_images {day}", unread.height, context.log.info)
    meter = Meter("raw_images", images=unread.height, bytes_read=int(unread["size_bytes"].sum()))
    clock = Clock()
    with meter.running():
        frame = judged_objects(lake, tensor_io, day, unread, progress, clock)
    save_cost(context, lake, day, meter)
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "landed": listed.height,
            "listing_digest": digest(listing),
            "read_now": frame.height,
            "rejected_now": frame.filter(status=REJECTED).height,
            "acceptable_now": frame.filter(status=ACCEPTED).height,
            "images_per_second": round(meter.images_per_second, 1),
            **clock.figures(),
        },
    )


def judged_objects(
    lake: LakeResource,
    tensor_io: TensorIOManager,
    day: date,
    unread: pl.DataFrame,
    progress: Progress,
    clock: Clock | None = None,
) -> pl.DataFrame:
    """Rows of `raw_images`, one per unread object, before the ledger has looked for duplicates.

    Where tensors are made ahead, those of good photos are cut from the decode that proves them and stored on the way: one decode a
    photo (docs/decisions/009). They are keyed by the photo's bytes, so a run that is killed, or whose rows the ledger turns
    down, leaves at worst a tensor that nobody asks for.
    """
    settings = lake.settings
    limits = settings.photo_limits
    tensors = tensor_io.day(day)
    geometry = tensor_io.geometry if settings.tensors_ahead else None
    stored = set(tensors.index().tensors["sha256"]) if unread.height else set()

    def judged(listed: StoredObject, deposit: Deposit | None) -> tuple[dict[str, object], np.ndarray | None]:
        found = judge(listed.size_bytes, None if deposit is None else deposit.data, limits, geometry)
        return row_of(day, listed, found, None if deposit is None else uploader_of(deposit.facts)), found.pixels

    frames, rows = [RAW_IMAGES.empty()], list[dict[str, object]]()
    with tensors.writer(settings.shard_images) as writer:
        for row, pixels in lake.read_deposits(unread, judged, clock):
            sha256 = str(row["sha256"])
            if pixels is not None and sha256 not in stored:
                stored.add(sha256)
                writer.add(Tensor(str(row["image_id"]), sha256, pixels))
            rows.append(row)
            if len(rows) == _ROWS_AS_OBJECTS:
                frames.append(pl.DataFrame(rows, schema=RAW_IMAGES.schema))
                rows = []
            progress.advance()
    return pl.concat([*frames, pl.DataFrame(rows, schema=RAW_IMAGES.schema)])


def row_of(day: date, stored: StoredObject, judged: Judged, uploader: str | None) -> dict[str, object]:
    """A row of `raw_images`, before the ledger has looked for duplicates."""
    verdict = judged.verdict
    return {
        "day": day,
        "image_id": image_id_of(stored.key),
        "key": stored.key,
        "size_bytes": stored.size_bytes,
        "etag": stored.etag,
        "sha256": judged.sha256,
        "format": verdict.format,
        "width_px": verdict.width_px,
        "height_px": verdict.height_px,
        "exif_orientation": verdict.exif_orientation,
        "received_at": stored.received_at,
        "status": ACCEPTED if verdict.ok else REJECTED,
        "reason": verdict.reason,
        "reason_detail": verdict.detail,
        "duplicate_of": None,
        "perceptual_hash": judged.perceptual_hash,
        "near_duplicate_group": None,
        "uploader": uploader,
    }
