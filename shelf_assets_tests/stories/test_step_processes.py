"""The whole graph as `make dev` runs it: a process for each step and check, a lake on S3, and the embedded models."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from shelf_assets.defs.instance import ensure_instance
from shelf_assets.intake.put_photos import land
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import LakeUnderTest, repo_root
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.support import DAY, PREDICTIONS


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_steps_in_separate_processes_share_their_results(
    s3_lake: LakeUnderTest, parsed_home: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(parsed_home, tmp_path / "home")
    settings = load_settings(
        s3_lake.settings.environment(),
        home=home,
        dagster__home=home / "dagster",
        bi__marts_path=home / "marts.duckdb",
        tracking__uri=f"sqlite:///{home}/mlflow/mlflow.db",
        dagster__executor="multiprocess",
        models__set="embedded",
        models__precision="fp32",  # three flat pictures give bf16 no reliable parity
    )
    lake = s3_lake.lake
    ensure_instance(settings)
    list(land(lake.objects, DAY, {**photos(range(3)), "again": photo(0), "cut short": truncated()}.items()))

    command = [str(Path(sys.executable).parent / "dagster"), "asset", "materialize", "--select", "*"]
    command += ["--partition", DAY.isoformat(), "-m", "shelf_assets.definitions"]
    done = subprocess.run(
        command, cwd=repo_root, env=settings.child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    rows = lake.table("raw_images").scan(DAY, DAY).collect()
    assert dict(rows.group_by("status").len().iter_rows()) == {"accepted": 3, "duplicate": 1, "rejected": 1}
    for table in PREDICTIONS:
        predicted = lake.table(table).scan(DAY, DAY).collect()
        assert sorted(predicted["image_id"]) == sorted(rows.filter(status="accepted")["image_id"]), table
    with duckdb.connect(settings.bi.marts_path, read_only=True) as marts:
        found = marts.execute("SELECT photos_in, accepted, duplicates, rejected FROM daily_intake_quality").fetchall()
    assert found == [(5, 3, 1, 1)]
