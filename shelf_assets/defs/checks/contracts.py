"""A blocking contract check per table, made from its declared schema. Questions about content belong in `quality`."""

import dagster as dg

from shelf_assets.defs.partitions import daily, partition_day
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.schemas import TABLES, SchemaError, conform


def build_contract_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=name,
        name="contract",
        blocking=True,
        partitions_def=daily,
        description="The day's rows have the declared columns, types and nullability, and no key twice.",
    )
    def contract(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        day = partition_day(context.partition_key)
        rows = lake.table(name).scan(day, day).collect()
        try:
            conform(rows, TABLES[name])
        except SchemaError as broken:
            return dg.AssetCheckResult(passed=False, description=str(broken))
        return dg.AssetCheckResult(passed=True, metadata={"rows": rows.height})

    return contract


contract_checks = [build_contract_check(name) for name in ("raw_images", "classifications", "clip_embeddings")]
