"""The maintenance job, its schedule and `shelf maintain`: their reports, and that no day is requested again."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from shelf_assets.defs.automation.maintenance import build_maintenance_job, build_maintenance_schedule
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import Policy
from shelf_assets.registry import tables
from shelf_assets_tests.cli.commands import shelf
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.defs.automation.ticks import OLD_DAY, Ticks
from shelf_assets_tests.graph import Graph
from shelf_assets_tests.lake.rows import DAY, photo, photos, prediction, predictions


def used(lake: Lake) -> Lake:
    """A lake with one day of predictions in three files; two of its tables do not exist yet."""
    lake.table("raw_images").commit(photos([photo("a", 1)]))
    for number in range(3):
        lake.table("classifications").commit(predictions([prediction(f"a{number}")]))
    return lake


def run_job(lake: LakeUnderTest, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return build_maintenance_job().execute_in_process(
        instance=instance,
        resources={"lake": lake.lake, "maintenance": Policy.of(lake.settings.lake)},
        raise_on_error=False,
    )


def test_maintenance_report_is_recorded_on_asset_and_step(lake: LakeUnderTest) -> None:
    used(lake.lake)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_job(lake, instance)
        assert result.success
        (observed,) = instance.fetch_observations(dg.AssetKey("classifications"), limit=2).records
        assert not instance.fetch_observations(dg.AssetKey("stage_runs"), limit=1).records
    observation = observed.asset_observation
    assert observation is not None
    shown = {name: value.value for name, value in observation.metadata.items()}
    assert (shown["files_before"], shown["files"], shown["small_files"], shown["rows"]) == (3, 1, 0, 3)
    assert shown["packed_days"] == [str(DAY)]
    assert (shown["packed_files_before"], shown["packed_files"], shown["packed_rows_read_back"]) == (3, 1, 3)
    assert 0 < shown["packed_bytes"] < shown["packed_bytes_before"]
    assert (shown["vacuumed_files"], shown["vacuumed"], shown["left_for_next_time"]) == (0, [], [])
    (output,) = (event for event in result.events_for_node("maintain_classifications") if event.is_successful_output)
    assert output.step_output_data.metadata["packed_rows_read_back"].value == 3


def test_unreadable_table_does_not_stop_maintenance_of_others(disk_lake: LakeUnderTest) -> None:
    used(disk_lake.lake)
    log = Path(disk_lake.lake.table("raw_images").uri.removeprefix("file://")) / "_delta_log"
    (log / "00000000000000000001.json").write_text("{half a")
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_job(disk_lake, instance)
    assert not result.success
    assert [event.step_key for event in result.get_step_failure_events()] == ["maintain_raw_images"]
    classifications = disk_lake.lake.table("classifications").open()
    assert classifications is not None and len(classifications.file_uris()) == 1


def test_maintenance_requests_no_day_again(graph: Graph, disk_lake: LakeUnderTest) -> None:
    used(disk_lake.lake)
    ticks = Ticks(graph.defs)
    ticks.tick()
    for name in ("raw_images", "image_tensors", "classifications", "clip_embeddings"):
        ticks.made(name, OLD_DAY)
    for _ in range(10):  # requests caused by the runs above
        ticks.tick()
    assert run_job(disk_lake, ticks.instance).success
    assert ticks.tick() == {}
    assert ticks.tick() == {}


def test_maintenance_is_scheduled_in_utc_after_the_nightly_run() -> None:
    schedule = build_maintenance_schedule(build_maintenance_job(), 23)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("45 0 * * 0", "UTC")


def test_code_location_holds_the_maintenance_job(graph: Graph) -> None:
    job = graph.defs.resolve_job_def("table_maintenance")
    assert {node.name for node in job.nodes} == {f"maintain_{name}" for name in tables()}


def test_maintenance_dry_run_reports_and_changes_nothing(disk_lake: LakeUnderTest) -> None:
    table = used(disk_lake.lake).table("classifications")
    version = table.version()
    due = shelf("maintain", "--dry-run", settings=disk_lake.settings, width=80)
    assert due.exit_code == 0, due.output
    (line,) = (line for line in due.output.splitlines() if line.split()[:1] == ["classifications"])
    assert line.split() == ["classifications", "3", "3", "0.0", "4", "1", "0", "0.0"]
    assert table.version() == version

    done = shelf("maintain", settings=disk_lake.settings, width=80)
    assert done.exit_code == 0, done.output
    (line,) = (line for line in done.output.splitlines() if line.split()[:1] == ["classifications"])
    assert line.split() == ["classifications", "3", "3", "→", "1", "0.0", "4", "→", "0", "1", "0", "0.0"]
    assert table.version() == version + 1  # type: ignore[operator]
