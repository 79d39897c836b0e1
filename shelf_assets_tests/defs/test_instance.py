"""The Dagster instance that `shelf` makes: what a step prints is found beside the lake, also after its pod is gone."""

from __future__ import annotations

import time

import dagster as dg
import pytest

from shelf_assets.defs.instance import ensure_instance
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import LakeUnderTest

SAID = "what the step said"


@dg.op
def talkative() -> None:
    print(SAID)


@dg.job(executor_def=dg.multiprocess_executor)
def talkative_job() -> None:
    talkative()


@pytest.mark.s3
@pytest.mark.slow
def test_what_a_step_printed_is_lost_with_its_machine(s3_lake: LakeUnderTest) -> None:
    home = ensure_instance(load_settings())
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(dg.reconstructable(_job), instance)
        assert result.success
        logs = []
        deadline = time.monotonic() + 60
        while not logs and time.monotonic() < deadline:
            logs = [each for each in s3_lake.lake.objects.list("compute-logs/") if each.key.endswith(".out")]
            time.sleep(0.2)
    assert SAID in s3_lake.lake.objects.get(logs[0].key).decode()
    assert not list((home / "storage").rglob("*.out"))


def _job() -> dg.JobDefinition:
    return talkative_job


def test_an_instance_of_one_s_own_is_overwritten(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert ensure_instance(load_settings()) == tmp_path
    assert not (tmp_path / "dagster.yaml").exists()
