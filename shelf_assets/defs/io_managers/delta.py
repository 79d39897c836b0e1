"""The IO manager of the Delta tables: days in, days out, by the ledger's rules. Which rows may be written belongs in `lake`.

dagster-deltalake's own IO manager wipes days in several cases (docs/decisions/001); this one keeps its configuration only.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
from deltalake import DeltaTable

from shelf_assets.lake.commit_info import commit_info
from shelf_assets.lake.delta import Commit, LakeTable
from shelf_assets.lake.lake import Lake

if TYPE_CHECKING:
    from dagster_deltalake import DeltaTableResource


# Metadata of an asset that is also recorded with its commit, for its blocking checks.
RECORDED = ("landed", "listing_digest")


class DeltaIOManager(dg.IOManager):
    """Stores frames in the table of the asset's name, and loads the days of the reader's partitions.

    An output is a polars DataFrame, or a LazyFrame, which is collected by the streaming engine. An input annotated
    `pl.LazyFrame` is not collected; one annotated `deltalake.DeltaTable` is the table itself, by dagster-deltalake's
    resource, for access to its history or files.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame | pl.LazyFrame) -> None:
        frame = obj.collect(engine="streaming") if isinstance(obj, pl.LazyFrame) else obj
        if not isinstance(frame, pl.DataFrame):
            raise TypeError(f"{context.asset_key.to_user_string()}: expected a polars frame, got {type(obj).__name__}")
        table = self._lake.table(context.asset_key.path[-1])
        days = _days(context) if context.has_asset_partitions else []
        recorded = {name: context.output_metadata[name].value for name in RECORDED if name in context.output_metadata}
        info = {"dagster_run_id": context.run_id} | (commit_info(days[0], **recorded) if len(days) == 1 else {})
        commit = table.commit(frame, days=days, info=info)
        context.add_output_metadata(commit_metadata(table, commit, days))
        for day in commit.other_days:
            # Rows of these days changed, so downstream assets must run as if the day had been run.
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=day.isoformat(),
                    description=f"rows of this day changed with those of {', '.join(map(str, days))}",
                    metadata={"table_version": commit.version},
                )
            )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame | DeltaTable:
        upstream = context.upstream_output
        name = upstream.asset_key.path[-1] if upstream else context.asset_key.path[-1]
        if context.dagster_type.typing_type is DeltaTable:
            return delta_table_resource(self._lake, name).load()
        table = self._lake.table(name)
        if not context.has_asset_partitions:
            frame = table.scan()
        else:
            days = _days(context)
            # A weekly reader of a daily table gets all days of its week; a reader of single days gets only these.
            frame = table.scan(min(days), max(days)).filter(pl.col("day").is_in(days))
        return frame if context.dagster_type.typing_type is pl.LazyFrame else frame.collect()


def delta_table_resource(lake: Lake, name: str) -> "DeltaTableResource":
    """dagster-deltalake's resource for one of the lake's tables."""
    # Imported here, because its package imports pandas (0.4 CPU-s), which stages do not need.
    from dagster_deltalake import DeltaTableResource, LocalConfig, S3Config
    from dagster_deltalake.config import ClientConfig

    options = dict(lake.storage_options)
    plain_http = options.pop("allow_http", None)
    return DeltaTableResource(
        url=lake.table(name).uri,
        storage_options=S3Config.model_validate(options) if lake.url.startswith("s3://") else LocalConfig(),
        client_options=ClientConfig(allow_http=True if plain_http else None),
    )


def commit_metadata(table: LakeTable, commit: Commit, days: Sequence[date]) -> dict[str, Any]:
    """Metadata of a commit for the catalogue. Counts are read back from the table, so that they show what is stored."""
    metadata: dict[str, Any] = {
        "dagster/uri": table.uri,
        "dagster/table_name": table.spec.name,
        "table_version": commit.version,
        "committed": commit.committed,
        "rows_new": commit.rows_new,
    }
    if days:
        count = (
            table.scan(min(days), max(days)).filter(pl.col("day").is_in(list(days))).select(pl.len()).collect().item()
        )
        metadata["dagster/partition_row_count"] = count
    return metadata


def _days(context: dg.InputContext | dg.OutputContext) -> list[date]:
    """The days in the time windows of the run's partitions; gaps between partitions are kept."""
    partitions = context.asset_partitions_def
    if not isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        raise TypeError(f"{context.asset_key.to_user_string()}: tables are partitioned by day, not by {partitions}")
    days: set[date] = set()
    for key in context.asset_partition_keys:
        window = partitions.time_window_for_partition_key(key)
        days |= {window.start.date() + timedelta(days=n) for n in range(max(1, (window.end - window.start).days))}
    return sorted(days)
