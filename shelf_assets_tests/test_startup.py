"""Imports at the start of processes: no heavy library. Times are measured in `benchmarks/startup.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shelf_assets.registry import prediction_stages
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.graph import Graph

MODELS = ["torch", "torchvision", "timm", "open_clip", "transformers", "openvino", "nncf", "onnxruntime"]
# dagster-dbt imports dbt and networkx unless it is imported through `defs/resources/dbt.py`; pandas comes with
# dagster-deltalake and pyarrow.dataset, boto3 with dagster-aws. sqlglot and requests are dagster-dbt's own.
CLIENTS = ["mlflow", "kubernetes", "boto3", "botocore", "pandas", "pyarrow.dataset", "dbt", "networkx", "scipy", "cv2"]
DOOR = ["fastapi", "limits", "pebble", "pillow_heif", "prometheus_client", "redis"]
FIND = """
import importlib, json, sys
imported, unwanted = json.loads(sys.argv[1])
importlib.import_module(imported)
print(json.dumps([name for name in unwanted if name in sys.modules]))
"""
WHO = "run it with `python -X importtime -c 'import {}'` to see by whom"


def found_after_import(imported: str, unwanted: list[str], home: Path) -> list[str]:
    """The modules of `unwanted` that are loaded in a new process after importing `imported`."""
    done = subprocess.run(
        [sys.executable, "-c", FIND, json.dumps([imported, unwanted])],
        cwd=repo_root,
        env=os.environ | {"SHELF_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_code_location_imports_no_heavy_library(graph: Graph) -> None:
    """Every step process, every sensor and the code server import this."""
    location = "shelf_assets.definitions"
    found = found_after_import(location, MODELS + CLIENTS + DOOR, graph.settings.home)
    assert not found, f"importing {location} imports {', '.join(found)}; {WHO.format(location)}"


@pytest.mark.parametrize("module", ["assets.predictions", "assets.raw_images", "automation.maintenance", "checks"])
def test_importing_a_part_of_the_graph_asks_the_registry_nothing(module: str, tmp_path: Path) -> None:
    """A stage's declaration is loaded when the registry is asked for it."""
    declarations = [f"shelf_assets.pipeline.stages.{stage.name}" for stage in prediction_stages()]
    assert found_after_import(f"shelf_assets.defs.{module}", declarations, tmp_path) == []


def test_help_imports_no_heavy_library(tmp_path: Path) -> None:
    heavy = ["dagster", "polars", "pyarrow", "numpy", "deltalake", *MODELS, *CLIENTS, *DOOR]
    found = found_after_import("shelf_assets.cli.app", heavy, tmp_path)
    assert not found, f"importing shelf_assets.cli.app imports {', '.join(found)}; {WHO.format('shelf_assets.cli.app')}"


def test_fork_server_preloads_no_threaded_library(graph: Graph) -> None:
    """A lock that a thread holds during the fork is never released in the child, so polars must not be loaded."""
    from shelf_assets.defs.executor import build_executor
    from shelf_assets.defs.settings import DagsterSettings

    schema = build_executor(DagsterSettings(executor="multiprocess"), lambda days, assets, most: 0).config_schema
    [preloaded] = schema.resolve_config({}).value["config"]["start_method"]["forkserver"]["preload_modules"]
    found = found_after_import(preloaded, ["polars", "pyarrow", "numpy", "deltalake", "dbt"], graph.settings.home)
    assert not found, f"the process that steps fork from imports {', '.join(found)}"
