"""The measurement of the tables runs from end to end on a few days, and its page contains its values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.big_tables_page import page
from benchmarks.photos import REPO_ROOT
from shelf_assets.registry import STAGE_NAMES


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the bytes read come from Linux' /proc")
@pytest.mark.timeout(600)
def test_every_value_is_measured_and_maintenance_packs_files(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.big_tables",
        "--days=12",
        "--photos=200",
        f"--out={tmp_path}",
    ]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    result = json.loads((tmp_path / "tables.json").read_text())
    assert set(result["by_days"]) == {"10", "12"}
    first, last = result["by_days"].values()
    assert set(first) == set(last)
    assert all(metric["wall_ms"] > 0 and metric["repeats"] == 5 for metric in last.values())
    costs = result["maintenance"]["tables"]["stage_runs"]
    commits = 12 * len(STAGE_NAMES)
    assert (costs["before"]["files"], costs["after"]["files"], costs["rows_read_back"]) == (commits, 12, commits)
    vectors, narrow, every = (metric["read_bytes"] for metric in result["narrow"].values())
    assert vectors < every / 3
    assert narrow > 0
    assert (tmp_path / "tables.md").read_text() == page(result)
