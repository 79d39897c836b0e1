"""The upkeep of the tables as a job and its weekly schedule. What upkeep does belongs in `lake.upkeep`.

A job of ops and not an asset: it makes no data, has no day, and nothing waits for it. Its evidence is the metadata of each
step, and an observation of the table's asset, whose page so draws files and bytes over the weeks.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg

from shelf_assets.defs.compute import CPU_POD
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import MaintenanceReport, Policy, maintain
from shelf_assets.lake.schemas import TABLES

# An observation of a table that is no asset would show it in the catalogue as an asset that nobody declared.
_ASSETS = ("raw_images", "classifications", "clip_embeddings")
_NAMED_FILES = 50


def build_maintenance_op(name: str) -> dg.OpDefinition:
    @dg.op(name=f"tend_{name}", description=f"Upkeep of the table {name}.")
    def tend_table(
        context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake], maintenance: dg.ResourceParam[Policy]
    ) -> None:
        evidence = maintain(lake.table(name), maintenance)
        if evidence is None:
            context.log.info(f"there is no table {name} yet")
            return
        metadata = report_metadata(evidence)
        context.add_output_metadata(metadata)
        if name in _ASSETS:
            context.log_event(dg.AssetObservation(name, metadata=metadata, description="after upkeep"))

    return tend_table


def report_metadata(evidence: MaintenanceReport) -> dict[str, Any]:
    before, after, index = evidence.before, evidence.after, evidence.hash_index
    of_index = {f"hash_index_{name}": value for name, value in asdict(index).items()} if index else {}
    return {
        "table_version_before": before.version,
        "table_version": after.version,
        "rows": after.rows,
        "files_before": before.files,
        "files": after.files,
        "small_files": after.small_files,
        "data_bytes": after.data_bytes,
        "log_entries_before": before.log_entries,
        "log_entries": after.log_entries,
        "log_files_removed": evidence.log_files_removed,
        "packed_days": [str(packed.partition or "table") for packed in evidence.packed],
        "packed_rows_read_back": sum(packed.rows for packed in evidence.packed),
        "left_for_next_time": list(evidence.skipped),
        "vacuumed_files": len(evidence.vacuumed),
        "vacuumed_bytes": evidence.vacuumed_bytes,
        "vacuumed": [stored.key for stored in evidence.vacuumed[:_NAMED_FILES]],
        **of_index,
    }


# All in one process: a table takes seconds, and a process or pod of its own would take as long to start.
MAINTENANCE_JOB = dg.GraphDefinition("upkeep", node_defs=[build_maintenance_op(name) for name in TABLES]).to_job(
    executor_def=dg.in_process_executor,
    tags=CPU_POD,
    description="Packs each table's small files, deletes what no version needs any more, sums up the log in a checkpoint.",
)


def build_maintenance_schedule(nightly_hour_utc: int) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="upkeep",
        job=MAINTENANCE_JOB,
        # Weekly: a week's late photos cost readers little (decision 011), and packing a day daily would rewrite its old
        # rows for each of them. Sunday, an hour and a half after the nightly run has started, when it has long ended.
        cron_schedule=f"45 {(nightly_hour_utc + 1) % 24} * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Keeps the tables quick to open and to read. A week in which nothing came costs a look.",
    )
