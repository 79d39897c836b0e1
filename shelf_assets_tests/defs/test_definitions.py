"""The code location loads in Dagster, and a snapshot shows every change of the graph in review.

After an intended change, write the snapshot again and commit it with the change:
SHELF_TEST_UPDATE_SNAPSHOTS=1 pytest shelf_assets_tests/defs/test_definitions.py
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from shelf_assets.defs.settings import DagsterSettings
from shelf_assets.settings import SettingsError, load_settings
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.graph import Graph

SNAPSHOT = Path(__file__).with_name("graph_snapshot.json")


def no_work(days: Sequence[date], assets: Collection[str], most_photos: int) -> int:
    return 0


def test_code_location_loads(graph: Graph) -> None:
    dg.Definitions.validate_loadable(graph.defs)


def test_asset_graph_equals_the_reviewed_graph(graph: Graph) -> None:
    found = json.dumps(graph_snapshot(graph), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("SHELF_TEST_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(found)
    kept = SNAPSHOT.read_text()
    changes = "".join(difflib.unified_diff(kept.splitlines(True), found.splitlines(True), "reviewed", "found"))
    assert not changes, f"the graph changed; if that is intended, see the top of {Path(__file__).name}\n{changes}"


@pytest.mark.parametrize(
    ("executor", "expected"), [("in_process", "in_process"), ("multiprocess", "multiprocess"), ("k8s", "k8s")]
)
def test_executor_follows_the_setting(executor: str, expected: str, graph: Graph) -> None:
    from shelf_assets.defs.executor import build_executor

    settings = load_settings(dagster__executor=executor, models__set="embedded", lake__url="s3://photos")
    assert build_executor(settings.dagster, no_work).name == expected


def test_concurrent_steps_are_bounded(graph: Graph) -> None:
    """Unbounded, the multiprocess executor starts one process per core of the node, each with its own model."""
    from shelf_assets.defs.executor import build_executor

    configured = build_executor(DagsterSettings(max_concurrent_steps=3), no_work).config_schema
    assert configured.resolve_config({}).value["config"]["max_concurrent"] == 3


def test_the_cluster_image_reaches_the_step_pods(graph: Graph) -> None:
    from shelf_assets.defs.executor import build_executor

    image = "registry.example/shelf-assets:1"
    schema = build_executor(DagsterSettings(executor="k8s", k8s_image=image), no_work).config_schema
    assert schema.resolve_config({}).value["config"]["job_image"] == image


@pytest.mark.parametrize("asset", ["raw_images", "clip_embeddings", "daily_rejections"])
def test_size_of_a_run_counts_only_the_assets_it_selects(graph: Graph, asset: str) -> None:
    from dagster._core.execution.api import create_execution_plan

    from shelf_assets.defs.executor import _assets

    job = graph.defs.resolve_implicit_global_asset_job_def()
    key = next(key for key in graph.assets.materializable_asset_keys if key.path[-1] == asset)
    plan = create_execution_plan(job.get_subset(asset_selection={key}))
    assert _assets(plan) == {key.to_user_string()}


def test_k8s_executor_refuses_auto_models() -> None:
    with pytest.raises(SettingsError, match="SHELF_MODELS_SET"):
        load_settings(dagster__executor="k8s")


def test_every_blocking_check_is_partitioned_by_day(graph: Graph) -> None:
    """An unpartitioned check would check the newest day when an old day is run again."""
    ours = [key for key in graph.assets.asset_check_keys if graph.assets.get(key.asset_key).group_name != "marts"]
    assert ours
    for key in ours:
        assert graph.assets.get(key).partitions_def == graph.assets.get(key.asset_key).partitions_def, key


def graph_snapshot(graph: Graph) -> dict[str, Any]:
    assets = graph.assets
    return {
        "assets": {key.to_user_string(): _asset(graph, key) for key in sorted(assets.get_all_asset_keys())},
        "checks": {
            f"{key.asset_key.to_user_string()}:{key.name}": "blocking" if assets.get(key).blocking else "warns"
            for key in sorted(assets.asset_check_keys)
        },
        "sensors": {
            sensor.name: sensor.default_status.name for sensor in sorted(graph.defs.sensors or [], key=lambda s: s.name)
        },
        "schedules": {
            schedule.name: f"{schedule.cron_schedule} {schedule.execution_timezone}, {schedule.default_status.name}"
            for schedule in graph.defs.schedules or []
            if isinstance(schedule, dg.ScheduleDefinition)
        },
    }


def _asset(graph: Graph, key: dg.AssetKey) -> dict[str, Any]:
    node = graph.assets.get(key)
    condition = node.automation_condition
    # dbt's code version is a digest of the model's SQL, whose changes are reviewed anyway.
    code_version = "digest of the SQL" if "dbt" in node.kinds else node.code_version
    return {
        "group": node.group_name,
        "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
        "kinds": sorted(node.kinds),
        "owners": list(node.owners),
        "partitions": str(node.partitions_def),
        "automation": condition.get_label() if condition else None,
        "backfill": str(node.backfill_policy.policy_type.name) if node.backfill_policy else None,
        "days_per_run": node.backfill_policy.max_partitions_per_run if node.backfill_policy else None,
        "pools": sorted(node.pools or ()),
        "code_version": code_version,
        "due": node.freshness_policy.deadline_cron if node.freshness_policy else None,
    }


def test_dagster_dev_and_dg_name_one_code_location() -> None:
    """The state of schedules and sensors is kept under its name, which in workspace.yaml is the module's."""
    dg_project = tomllib.loads((repo_root / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    workspace = yaml.safe_load((repo_root / "workspace.yaml").read_text())
    assert workspace == {"load_from": [{"python_module": "shelf_assets.definitions"}]}
    assert dg_project["code_location_name"] == dg_project["code_location_target_module"] == "shelf_assets.definitions"
