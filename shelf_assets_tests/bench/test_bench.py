"""The bench runs from end to end on a few drawn photos, and its figures have the shape that page and plot read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shelf_assets_tests.bench.photos import REPO_ROOT, with_comment
from shelf_assets_tests.bench.report import markdown
from shelf_assets_tests.bench.session import WAYS

# The smallest JPEG-like beginning: start, one application segment of 4 bytes, then something else.
_HEAD = b"\xff\xd8\xff\xe1\x00\x04ab\xff\xdb\x00\x02"


def test_a_comment_does_not_stand_before_exif() -> None:
    assert with_comment(_HEAD, b"one") == b"\xff\xd8\xff\xe1\x00\x04ab\xff\xfe\x00\x05one\xff\xdb\x00\x02"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the bench reads CPU and memory from Linux' /proc")
@pytest.mark.timeout(1500)
def test_bench_measures_every_way_and_both_ways_answer_alike(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelf_assets_tests.bench", "--drawn", "--images=8", "--runs=1", "--photos=small"]
    command += ["--store=disk", "--batch-size=4", f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    result = json.loads((tmp_path / "pipeline.json").read_text())
    (scenario,) = result["scenarios"]
    (run,) = scenario["runs"]
    assert set(run) == {*WAYS, "few"}
    assert {way: figures["images"] for way, figures in run["few"].items()} == {"pipeline": 2, "plain": 2}
    for figures in (run[way] for way in WAYS):
        assert figures["images"] == 8
        assert figures["wall_seconds"] > 0
        assert figures["cpu_seconds"] > 0
        assert figures["peak_memory_bytes"] > 100_000_000
    # Judging and making tensors are inside the pipeline's total, not beside it.
    stages = run["pipeline"]["stages"]
    within = sum(stages[name]["wall_seconds"] for name in ("raw_images", "image_tensors", "predictions"))
    assert within <= run["pipeline"]["wall_seconds"]
    agreement = scenario["agreement"]
    assert agreement["photos_pipeline"] == agreement["photos_plain"] == agreement["photos_both"] == 8
    assert agreement["embedding_cosine_least"] > 0.99

    assert (tmp_path / "pipeline.md").read_text() == markdown(result)
    assert (tmp_path / "pipeline.png").read_bytes().startswith(b"\x89PNG")
