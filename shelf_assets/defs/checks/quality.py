"""Blocking questions about a day's content: do the counts add up, do too many photos fail to decode. Contracts: `contracts`."""

from typing import Any

import dagster as dg
import polars as pl

from shelf_assets.defs.landing_reports import digest
from shelf_assets.defs.partitions import daily, partition_day
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, REJECTED, TRANSIENT_REASONS, accepted_twice
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.settings import PipelineSettings


@dg.asset_check(
    asset="raw_images",
    blocking=True,
    partitions_def=daily,
    description="Every object under the day's prefix has a row: landed = accepted + duplicate + rejected.",
)
def every_object_has_a_row(
    context: dg.AssetCheckExecutionContext, ingest: dg.ResourceParam[Ingest]
) -> dg.AssetCheckResult:
    day = partition_day(context.partition_key)
    rows = ingest.lake.table("raw_images").scan(day, day).collect()
    counts = {status: rows.filter(status=status).height for status in (ACCEPTED, DUPLICATE, REJECTED)}
    told = _told(context, RAW_IMAGES.name, "landed", "listing_digest")
    if told is None:
        return dg.AssetCheckResult(passed=False, description="nothing tells what raw_images listed; materialize it")
    landed = int(told["landed"])
    listed = ingest.lake.listing(day)
    without_row = listed.join(rows, on="key", how="anti")
    # Objects that came since are the next run's, however old their time; rows outlive objects, so there may be more rows.
    unchanged = digest(listed) == told["listing_digest"]
    missing = without_row.height if unchanged else max(0, landed - sum(counts.values()))
    unknown = rows.height - sum(counts.values())
    return dg.AssetCheckResult(
        passed=not missing and not unknown,
        description=f"{missing} of {landed} landed objects have no row, {unknown} rows have no known status",
        metadata={"landed": landed, **counts},
    )


@dg.asset_check(
    asset="raw_images",
    blocking=True,
    partitions_def=daily,
    description="No bytes are accepted twice, on any day.",
)
def no_bytes_accepted_twice(
    context: dg.AssetCheckExecutionContext, ingest: dg.ResourceParam[Ingest]
) -> dg.AssetCheckResult:
    day = partition_day(context.partition_key)
    twice = accepted_twice(ingest.lake.table(RAW_IMAGES.name).known_rows(), day)
    return dg.AssetCheckResult(passed=twice.is_empty(), description=_first_few("sha256 accepted more than once", twice))


@dg.asset_check(
    asset="image_tensors",
    blocking=True,
    partitions_def=daily,
    description="Every accepted photo is a tensor or a recorded failure, and failures stay below the limit.",
)
def every_photo_is_a_tensor_or_a_reason(
    context: dg.AssetCheckExecutionContext,
    ingest: dg.ResourceParam[Ingest],
    pipeline: dg.ResourceParam[PipelineSettings],
) -> dg.AssetCheckResult:
    day = partition_day(context.partition_key)
    accepted = ingest.lake.accepted(day)
    index = ingest.tensors.day(day).index().entries
    # Where tensors are not made ahead, a photo without one is decoded by whoever infers; only failures are recorded.
    ahead = ingest.tensors.made_ahead
    lost = accepted.join(index, on="sha256", how="anti") if ahead else accepted.clear()
    without = accepted.join(index.filter(pl.col("reason").is_not_null()).drop("image_id"), on="sha256")
    # An object that somebody deleted or overwrote says nothing of our decoder, and would hold its day for ever.
    failed = without.filter(~pl.col("reason").is_in(TRANSIENT_REASONS))
    limit = pipeline.decode_failure_limit
    share = failed.height / accepted.height if accepted.height else 0.0
    return dg.AssetCheckResult(
        passed=lost.is_empty() and share <= limit,
        description=_first_few("accepted photos with neither tensor nor reason", lost["image_id"])
        or f"{failed.height} of {accepted.height} photos failed to decode; the limit is {limit:.0%}",
        metadata={
            "accepted": accepted.height,
            "failed": failed.height,
            "failure_share": share,
            "gone": without.height - failed.height,
        },
    )


def _build_prediction_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=name,
        name="every_photo_is_predicted",
        blocking=True,
        partitions_def=daily,
        description="Every accepted photo that can be decoded has a row of the model that ran last.",
    )
    def every_photo_is_predicted(
        context: dg.AssetCheckExecutionContext, ingest: dg.ResourceParam[Ingest]
    ) -> dg.AssetCheckResult:
        day = partition_day(context.partition_key)
        due = ingest.tensors.day(day).index().not_failed(ingest.lake.accepted(day))
        rows = ingest.lake.table(name).scan(day, day).collect()
        told = _told(context, name, "model_digest", "preprocess_digest")
        if told is None:
            return dg.AssetCheckResult(passed=False, description=f"nothing tells which model ran; materialize {name}")
        newest = rows.filter(**told)
        lost = due.join(newest, on=["image_id", "sha256"], how="anti")
        return dg.AssetCheckResult(
            passed=lost.is_empty(),
            description=_first_few("photos without a prediction", lost["image_id"]),
            metadata={"due": due.height, "rows": rows.height},
        )

    return every_photo_is_predicted


def _told(context: dg.AssetCheckExecutionContext, asset: str, *names: str) -> dict[str, Any] | None:
    """What the day's newest materialization of the asset says under these names of metadata; None without one."""
    of_day = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[context.partition_key])
    for record in context.instance.fetch_materializations(of_day, limit=100).records:
        event = record.asset_materialization
        # A day whose copy became an original has a record that says nothing of this.
        if event is not None and all(name in event.metadata for name in names):
            return {name: event.metadata[name].value for name in names}
    return None


def _first_few(what: str, values: pl.Series) -> str:
    shown = ", ".join(map(str, values.head(5).to_list()))
    return f"{len(values)} {what}: {shown}{' …' if len(values) > 5 else ''}" if len(values) else ""


quality_checks = [
    every_object_has_a_row,
    no_bytes_accepted_twice,
    every_photo_is_a_tensor_or_a_reason,
    *(_build_prediction_check(name) for name in ("classifications", "clip_embeddings")),
]
