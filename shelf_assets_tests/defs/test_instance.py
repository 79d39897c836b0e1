"""The Dagster instance that `shelf` makes: a step's output is stored beside the lake and stays after its pod is deleted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from shelf_assets.defs.instance import ensure_instance, open_instance
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import LakeUnderTest, repo_root

SAID = "what the step said"


@dg.op
def talkative() -> None:
    print(SAID)


@dg.job(executor_def=dg.multiprocess_executor)
def talkative_job() -> None:
    talkative()


def _job() -> dg.JobDefinition:
    return talkative_job


def run_talkative_job() -> None:
    """Run the job in a process with the bucket's keys in its environment, where boto3 (of the compute log manager) reads them."""
    with open_instance(load_settings()) as instance:
        assert dg.execute_job(dg.reconstructable(_job), instance).success


@pytest.mark.s3
@pytest.mark.slow
def test_step_output_is_stored_in_the_lake(s3_lake: LakeUnderTest) -> None:
    program = f"import {__name__} as it; it.run_talkative_job()"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=s3_lake.environment, cwd=repo_root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    logs = []
    deadline = time.monotonic() + 60
    while not logs and time.monotonic() < deadline:
        logs = [each for each in s3_lake.lake.objects.list("compute-logs/") if each.key.endswith(".out")]
        time.sleep(0.2)
    assert SAID in s3_lake.lake.objects.get(logs[0].key).decode()
    assert not list((s3_lake.settings.dagster.home / "storage").rglob("*.out"))


def test_existing_dagster_home_is_left_untouched(tmp_path: Path) -> None:
    assert ensure_instance(load_settings({"DAGSTER_HOME": str(tmp_path)})) == tmp_path
    assert not (tmp_path / "dagster.yaml").exists()
