"""The benchmark from end to end on a few drawn photos; its page, its goals and its statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import metrics
from benchmarks.baselines import BY_NAME, BenchOptions
from benchmarks.goals import check_goals
from benchmarks.photos import with_comment
from benchmarks.plot import plot
from benchmarks.process import BaselineFailed, BaselineProcess
from benchmarks.report import markdown
from benchmarks.session import Options, run_bench
from benchmarks.tables import best_rival, overhead_cpu_ms

# The start of a JPEG: start marker, an application segment of 4 bytes, then other data.
_HEAD = b"\xff\xd8\xff\xe1\x00\x04ab\xff\xdb\x00\x02"
_RIVALS = ("loader", "daft", "ray")
_MEASURED = ("pipeline torch", "plain", *_RIVALS)
_PHOTOS = 4
_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the benchmark reads CPU and memory from /proc"
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of one run on four drawn photos, read back from its file."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("BENCH_CLIP_RETRIEVAL", raising=False)
        options = Options(
            images=_PHOTOS,
            runs=1,
            stub_runs=1,
            stub_times=1,
            photos=("small",),
            stores=("disk",),
            baselines=(*_MEASURED, "clip-retrieval"),
            batch_size=4,
            drawn=True,
            warm_up=False,
        )
        found = run_bench(options, print)
    file = tmp_path_factory.mktemp("bench") / "pipeline.json"
    file.write_text(json.dumps(found))
    read: dict[str, Any] = json.loads(file.read_text())
    return read


@_linux
@pytest.mark.slow
@pytest.mark.timeout(1500)
class TestOneRun:
    def test_every_baseline_is_measured(self, result: dict[str, Any]) -> None:
        (scenario,) = result["scenarios"]
        assert set(scenario["baselines"]) == set(_MEASURED), scenario["failed"]
        (run,) = scenario["runs"]
        for baseline in _MEASURED:
            whole = run[baseline]["whole"]
            assert whole["images"] == _PHOTOS
            assert whole["wall_seconds"] > 0
            assert whole["cpu_seconds"] > 0
            assert whole["peak_memory_bytes"] > 100_000_000
            assert set(scenario["baselines"][baseline]["overhead"]["stages_cpu_ms"]) == set(whole["stages"])

    @pytest.mark.parametrize("baseline", [baseline for baseline in _MEASURED if baseline != "plain"])
    def test_every_baseline_gives_the_same_answers(self, result: dict[str, Any], baseline: str) -> None:
        agreement = result["scenarios"][0]["agreement"][baseline]
        assert agreement["photos"] == agreement["photos_reference"] == agreement["photos_both"] == _PHOTOS
        assert agreement["embedding_cosine_least"] > 0.999

    def test_stages_are_part_of_the_total(self, result: dict[str, Any]) -> None:
        whole = result["scenarios"][0]["runs"][0]["pipeline torch"]["whole"]
        within = sum(whole["stages"][name]["wall_seconds"] for name in ("raw_images", "image_tensors", "predictions"))
        assert within <= whole["wall_seconds"]

    def test_baseline_that_is_not_installed_is_named_with_its_reason(self, result: dict[str, Any]) -> None:
        assert "BENCH_CLIP_RETRIEVAL" in result["absent"]["clip-retrieval"]
        assert f"clip-retrieval's loop: {result['absent']['clip-retrieval']} (everywhere)" in markdown(result)

    def test_page_shows_every_baseline_and_goal(self, result: dict[str, Any], tmp_path: Path) -> None:
        page = markdown(result)
        for baseline in _MEASURED:
            assert f"| 348 px, disk | {'**' if baseline == 'pipeline torch' else ''}{BY_NAME[baseline].title}" in page
        # Two goals depend on the overhead. With four photos it may be within noise, and is then not reported.
        assert {one.goal.partition(" ")[0] for one in check_goals(result)} >= {"at", "less", "models", "decode"}
        plot(result, tmp_path / "pipeline.png")
        assert (tmp_path / "pipeline.png").read_bytes().startswith(b"\x89PNG")


def test_comment_is_added_after_exif() -> None:
    assert with_comment(_HEAD, b"one") == b"\xff\xd8\xff\xe1\x00\x04ab\xff\xfe\x00\x05one\xff\xdb\x00\x02"


@_linux
def test_dead_process_becomes_a_failed_baseline(tmp_path: Path) -> None:
    nowhere = BenchOptions(batch_size=4, threads=1, loader_workers=0, drawn=True, scratch=str(tmp_path))
    process = BaselineProcess(BY_NAME["clip-retrieval"], nowhere, tmp_path / "log")
    try:
        process.process.kill()
        with pytest.raises(BaselineFailed, match="ended early"):
            process.await_start()
    finally:
        process.close()


def _run(images: int, cpu_seconds: float) -> dict[str, Any]:
    return {
        "images": images,
        "cpu_seconds": cpu_seconds,
        "wall_seconds": cpu_seconds / 2,
        "peak_memory_bytes": 1_000_000,
        "stages": {"all": {"cpu_seconds": cpu_seconds, "wall_seconds": cpu_seconds / 2}},
    }


def test_fixed_cost_of_a_run_is_separated_from_that_of_a_photo() -> None:
    whole = {"plain": {"whole": _run(10, 5.0), "models_alone": _run(10, 3.0)}}
    # 0.4 s per run and 10 ms per photo.
    stub = {"plain": {"many": _run(102, 1.42), "few": _run(2, 0.42)}}
    found = metrics.of_baselines([whole], [stub], {})["plain"]
    assert found["cpu_seconds_per_1000"] == pytest.approx(500)
    assert found["models_alone_cpu_ms"] == pytest.approx(300)
    assert found["overhead"]["cpu_ms_per_photo"] == pytest.approx(10)
    assert found["overhead"]["cpu_ms_per_run"] == pytest.approx(400)


def test_baseline_that_failed_half_way_has_no_metrics() -> None:
    first = {baseline: {"whole": _run(10, 5.0), "models_alone": {}} for baseline in ("plain", "ray")}
    second = {"plain": first["plain"]}
    failed = {"ray": "it fell over"}
    assert set(metrics.of_baselines([first, second], [], failed)) == {"plain"}
    assert metrics.ratios([first, second], failed) == {"plain": {}}


def test_overhead_within_noise_is_not_reported() -> None:
    scenario = {
        "baselines": {
            "ray": {"overhead": _overhead(10, least=-20, most=40)},
            "daft": {"overhead": _overhead(10, 9, 11)},
        }
    }
    assert overhead_cpu_ms(scenario, "ray") is None
    assert overhead_cpu_ms(scenario, "daft") == 10


def test_best_rival_is_one_that_ran() -> None:
    result = {"baselines": {name: {"role": BY_NAME[name].role} for name in BY_NAME}}
    scenario = {"baselines": {"daft": {"cpu_seconds_per_1000": 400}, "plain": {"cpu_seconds_per_1000": 1}}}
    assert best_rival(result, scenario) == "daft"
    assert best_rival(result, {"baselines": {}}) is None


def test_answers_are_compared_by_photo_in_any_order(tmp_path: Path) -> None:
    vectors = np.eye(3, dtype=np.float32)
    scores = np.ones(3, np.float32)
    np.savez(tmp_path / "one.npz", keys=["a", "b", "c"], labels=["x", "y", "z"], scores=scores, embeddings=vectors)
    np.savez(
        tmp_path / "two.npz", keys=["c", "a", "b"], labels=["z", "x", "w"], scores=scores, embeddings=vectors[[2, 0, 1]]
    )
    found = metrics.agreement(tmp_path / "one.npz", tmp_path / "two.npz")
    assert found["photos_both"] == 3
    assert found["same_top1"] == pytest.approx(2 / 3)
    assert found["embedding_cosine_least"] == pytest.approx(1)
    assert found["cosine_of_neighbouring_photos_mean"] == pytest.approx(0)


def _overhead(median: float, least: float, most: float) -> dict[str, float]:
    return {"cpu_ms_per_photo": median, "cpu_ms_per_photo_least": least, "cpu_ms_per_photo_most": most}
