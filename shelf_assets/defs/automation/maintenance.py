"""Table maintenance as a job and its weekly schedule. Maintenance itself is in `lake.maintenance`.

It is a job of ops and not an asset: it produces no data, has no day, and nothing depends on it. Its report is the metadata of
each op, and an observation of the table's asset, so that the asset's page plots files and bytes over the weeks.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg

from shelf_assets.defs.compute import CPU_POD
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import MaintenanceReport, Policy, maintain
from shelf_assets.registry import table_stages, tables

_NAMED_FILES = 50


def build_maintenance_op(name: str) -> dg.OpDefinition:
    @dg.op(name=f"maintain_{name}", description=f"Maintenance of the table {name}.")
    def maintain_table(
        context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake], maintenance: dg.ResourceParam[Policy]
    ) -> None:
        report = maintain(lake.table(name), maintenance)
        if report is None:
            context.log.info(f"there is no table {name} yet")
            return
        metadata = report_metadata(report)
        context.add_output_metadata(metadata)
        # Observing a table that is not an asset would list it in the catalogue as an undeclared asset.
        if name in table_stages():
            context.log_event(dg.AssetObservation(name, metadata=metadata, description="after maintenance"))

    return maintain_table


def report_metadata(report: MaintenanceReport) -> dict[str, Any]:
    before, after, index = report.before, report.after, report.hash_index
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
        "log_files_removed": report.log_files_removed,
        "packed_days": [str(packed.partition or "table") for packed in report.packed],
        "packed_files_before": sum(packed.files_before for packed in report.packed),
        "packed_files": sum(packed.files_after for packed in report.packed),
        "packed_bytes_before": sum(packed.bytes_before for packed in report.packed),
        "packed_bytes": sum(packed.bytes_after for packed in report.packed),
        "packed_rows_read_back": sum(packed.rows for packed in report.packed),
        "left_for_next_time": list(report.skipped),
        "vacuumed_files": len(report.vacuumed),
        "vacuumed_bytes": report.vacuumed_bytes,
        "vacuumed": [stored.key for stored in report.vacuumed[:_NAMED_FILES]],
        **of_index,
    }


def build_maintenance_job() -> dg.JobDefinition:
    graph = dg.GraphDefinition("table_maintenance", node_defs=[build_maintenance_op(name) for name in tables()])
    return graph.to_job(
        # All in one process: a table takes seconds, and a process or pod of its own would take as long to start.
        executor_def=dg.in_process_executor,
        tags=CPU_POD,
        description=(
            "Packs each table's small files, deletes files that no version needs, and writes a checkpoint of the log."
        ),
    )


def build_maintenance_schedule(job: dg.JobDefinition, nightly_hour_utc: int) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="table_maintenance",
        job=job,
        # Weekly: a week's late photos cost readers little (decision 011), and packing daily would rewrite a day's rows for
        # each late photo. On Sunday, an hour and a half after the nightly run has started, when it has long ended.
        cron_schedule=f"45 {(nightly_hour_utc + 1) % 24} * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Keeps the tables fast to open and to read. Without new files it only lists them.",
    )
