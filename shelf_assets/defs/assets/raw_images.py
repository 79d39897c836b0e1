"""`raw_images`: one row per object of a day, accepted, duplicate or rejected with its reason."""

import dagster as dg
import polars as pl

from shelf_assets.defs.assets.common import day_of
from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.defs.catalogue import table_description, table_metadata
from shelf_assets.defs.compute import CPU_POD, OWNERS_ML
from shelf_assets.defs.landing_reports import digest, is_reported, landing_report
from shelf_assets.defs.partitions import daily
from shelf_assets.lake.ledger import ACCEPTED, REJECTED
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.pipeline.costs import save_cost
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.stages.raw_images import STAGE
from shelf_assets.vision.engine import StageTimer


@dg.asset(
    deps=["landing"],
    description=table_description(
        RAW_IMAGES, "Reads only objects that are new or were overwritten since the last run."
    ),
    group_name=STAGE.group,
    kinds={"delta", "python"},
    owners=OWNERS_ML,
    partitions_def=daily,
    automation_condition=late_safe,
    code_version=STAGE.code_version,
    io_manager_key="delta_io",
    metadata=table_metadata(RAW_IMAGES),
    op_tags=CPU_POD,
)
def raw_images(
    context: dg.AssetExecutionContext, ingest: dg.ResourceParam[Ingest]
) -> dg.MaterializeResult[pl.DataFrame]:
    day = day_of(context)
    listed = ingest.lake.listing(day)
    report = landing_report(day, listed)
    if not is_reported(context.instance, report):
        context.log_event(report)
    unread = ingest.unread(listed, day)
    progress = Progress(f"raw_images {day}", unread.height, context.log.info)
    meter = Meter("raw_images", images=unread.height, bytes_read=int(unread["size_bytes"].sum()))
    timer = StageTimer()
    with meter.running():
        frame = ingest.rows(day, unread, progress, timer)
    save_cost(ingest.lake, day, context.run.run_id, meter)
    return dg.MaterializeResult(
        value=frame,
        metadata={
            # These two are also recorded with the commit, for the check that every object has a row.
            "landed": listed.height,
            "listing_digest": digest(listed),
            "read_now": frame.height,
            "rejected_now": frame.filter(status=REJECTED).height,
            "acceptable_now": frame.filter(status=ACCEPTED).height,
            "images_per_second": round(meter.images_per_second, 1),
            **timer.metrics(),
        },
    )
