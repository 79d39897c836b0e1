"""The marts: dbt_bi's models as assets by day, its tests as checks. SQL belongs in dbt_bi."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from shelf_assets.bi.dbt_project import DbtProjectHere
from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.defs.compute import CPU_POD, OWNERS_ANALYTICS, POOL_DUCKDB
from shelf_assets.defs.partitions import daily
from shelf_assets.defs.resources.dbt import DagsterDbtTranslator, Dbt, DbtProject, dbt_assets
from shelf_assets.lake.lake import Lake
from shelf_assets.observe.progress import Progress


class ShelfTranslator(DagsterDbtTranslator):
    """Gives the models our owners, condition and groups; keys, descriptions and columns come from dbt."""

    def get_automation_condition(self, dbt_resource_props: Mapping[str, Any]) -> dg.AutomationCondition:
        return late_safe

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS_ANALYTICS

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return "marts"


def build_marts(project: DbtProjectHere) -> dg.AssetsDefinition:
    """All of dbt_bi as one multi-asset: a range of days is one dbt call, since its start costs more than its SQL."""

    @dbt_assets(
        manifest=project.manifest_path(),
        project=DbtProject(project_dir=project.folder, target_path=project.target_path),
        dagster_dbt_translator=ShelfTranslator(),
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL_DUCKDB,
        op_tags=CPU_POD,
        name="marts",
    )
    def marts(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], dbt: dg.ResourceParam[Dbt]
    ) -> Iterator[Any]:
        days = context.partition_key_range
        nodes = len(context.selected_asset_keys) + len(context.selected_asset_check_keys)
        span = days.start if days.start == days.end else f"{days.start} to {days.end}"
        progress = Progress(f"marts {span}", nodes, context.log.info)
        # A lake of an earlier version lacks the table of a new stage until that stage has run.
        lake.create_tables()
        for event in dbt.build(context, days.start, days.end):
            yield event
            progress.advance(isinstance(event, (dg.Output, dg.AssetCheckResult)))

    return marts
