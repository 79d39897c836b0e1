"""`raw_images`: one row per object of a day, accepted, duplicate or rejected with its reason."""

from datetime import date

import dagster as dg
import numpy as np
import polars as pl

from shelf_assets.defs.assets.common import day_of, save_cost
from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.defs.catalogue import table_description, table_metadata
from shelf_assets.defs.compute import CPU_POD, OWNERS_ML
from shelf_assets.defs.io_managers.tensors import TensorIOManager
from shelf_assets.defs.landing_reports import digest, is_reported, landing_report
from shelf_assets.defs.partitions import daily
from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.intake.owners import uploader_of
from shelf_assets.lake.ledger import ACCEPTED, REJECTED, unread_objects
from shelf_assets.lake.object_store import StoredObject, image_id_of
from shelf_assets.lake.object_writer import ObjectWithMetadata
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.lake.tensor_store import Tensor
from shelf_assets.lake.unsupported_keys import is_unsupported
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.photos.validator import ValidatedObject, unsupported_key, validate
from shelf_assets.vision.engine import StageTimer

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
    clock = StageTimer()
    with meter.running():
        frame = validated_objects(lake, tensor_io, day, unread, progress, clock)
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
            **clock.metrics(),
        },
    )


def validated_objects(
    lake: LakeResource,
    tensor_io: TensorIOManager,
    day: date,
    unread: pl.DataFrame,
    progress: Progress,
    clock: StageTimer | None = None,
) -> pl.DataFrame:
    """Rows of `raw_images`, one per unread object, before the ledger has looked for duplicates.

    Where tensors are made ahead, those of good photos are cut from the decode that proves them and stored on the way: one decode a
    photo (docs/decisions/009). They are keyed by the photo's bytes, so a run that is killed, or whose rows the ledger turns
    down, leaves at worst a tensor that nobody asks for.
    """
    settings = lake.settings
    limits = settings.photos.limits
    tensors = tensor_io.day(day)
    geometry = tensor_io.geometry if settings.vision.tensors_ahead else None
    stored = set(tensors.index().tensors["sha256"]) if unread.height else set()

    def validated(
        listed: StoredObject, deposit: ObjectWithMetadata | None
    ) -> tuple[dict[str, object], np.ndarray | None]:
        if is_unsupported(listed.key):
            return row_of(day, listed, unsupported_key(), None), None
        found = validate(listed.size_bytes, None if deposit is None else deposit.data, limits, geometry)
        return row_of(day, listed, found, None if deposit is None else uploader_of(deposit.metadata)), found.pixels

    frames, rows = [RAW_IMAGES.empty()], list[dict[str, object]]()
    with tensors.writer(settings.vision.shard_images) as writer:
        for row, pixels in lake.read_with_metadata(unread, validated, clock):
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


def row_of(day: date, stored: StoredObject, judged: ValidatedObject, uploader: str | None) -> dict[str, object]:
    """A row of `raw_images`, before the ledger has looked for duplicates."""
    result = judged.result
    return {
        "day": day,
        "image_id": image_id_of(stored.key),
        "key": stored.key,
        "size_bytes": stored.size_bytes,
        "etag": stored.etag,
        "sha256": judged.sha256,
        "format": result.format,
        "width_px": result.width_px,
        "height_px": result.height_px,
        "exif_orientation": result.exif_orientation,
        "received_at": stored.received_at,
        "status": ACCEPTED if result.ok else REJECTED,
        "reason": result.reason,
        "reason_detail": result.detail,
        "duplicate_of": None,
        "perceptual_hash": judged.perceptual_hash,
        "near_duplicate_group": None,
        "uploader": uploader,
    }
