"""A whole bench: starts a process for each way, lets them work in turn on every set of photos and store, and adds up.

How a way works belongs in its module, how the figures are told in `report`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from shelf_assets_tests.bench.meters import TreeMemory, machine
from shelf_assets_tests.bench.photos import REPO_ROOT, Kind, PhotoSet, photo_set
from shelf_assets_tests.bench.place import Place, StoreKind, open_store

# Each way by the process it works in: the eager models alone are the plain way's own, loaded once.
WAYS = {"pipeline": "pipeline", "plain": "plain", "models": "models", "eager": "plain"}
_WAYS_WITH_FIXED_COST = ("pipeline", "plain")
_LIBRARIES = ("timm", "open-clip-torch", "deltalake", "pillow", "boto3", "smart-open")
# Idle threads of the way before spin for a moment; the next one should not pay for it.
_PAUSE_SECONDS = 0.3
_WARM_UP_PHOTOS = 4
# A run of so few photos beside a whole one tells a run's fixed cost (commits, starting workers) from a photo's.
_FEW_PHOTOS = 2


@dataclass(frozen=True)
class Options:
    """`images` small photos and half as many large ones, each `runs` times through every way."""

    images: int = 48
    runs: int = 3
    photos: tuple[Kind, ...] = ("small", "large")
    stores: tuple[StoreKind, ...] = ("disk", "s3")
    batch_size: int = 16
    threads: int = os.cpu_count() or 1
    loader_workers: int = 2
    precision: str = "auto"
    drawn: bool = False

    def count(self, kind: Kind) -> int:
        return self.images if kind == "small" else max(1, self.images // 2)


class WayProcess:
    """The process of one way; asked one thing at a time."""

    def __init__(self, way: str, options: Options, log: Path) -> None:
        command = [sys.executable, "-m", "shelf_assets_tests.bench.worker", way]
        command += [f"--batch-size={options.batch_size}", f"--threads={options.threads}"]
        command += [f"--loader-workers={options.loader_workers}", f"--precision={options.precision}"]
        self.way, self.log = way, log
        # Passive: threads that wait sleep. Spinning, they would count as CPU time on a machine that others share.
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPO_ROOT,
                env=environment,
                text=True,
            )
        self.about: dict[str, Any] = {}

    def await_start(self) -> None:
        self.about = self._hear()

    def ask(self, do: str, place: Place, **more: Any) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": do, "place": asdict(place)} | more) + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the way {self.way!r} ended early:\n{self.log.read_text(errors='replace')[-3000:]}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run_bench(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything measured, as JSON. The temporary folder needs room for the photos and the results of one run."""
    started = time.monotonic()
    here = machine()
    with _folder() as folder, ExitStack() as stack:
        processes: dict[str, WayProcess] = {}
        for name in dict.fromkeys(WAYS.values()):
            processes[name] = WayProcess(name, options, folder / f"{name}.log")
            stack.callback(processes[name].close)
        say("loading the models, once in each of three processes")
        for process in processes.values():
            process.await_start()
            say(f"{process.way}: ready after {process.about['startup']['cpu_seconds']:.0f} CPU-s")
        scenarios: list[dict[str, Any]] = []
        floor: dict[str, Any] = {}
        for store in options.stores:
            with open_store(store, folder / store) as place:
                _warm_up(processes, place, options, folder)
                for kind in options.photos:
                    photos = photo_set(kind, options.count(kind), options.drawn)
                    here_place = place.for_photos(kind)
                    here_place.land(photos)
                    floor = floor or processes["models"].ask("floor", here_place)
                    scenarios.append(_scenario(processes, here_place, photos, options, folder, say))
        about = processes["pipeline"].about
        return {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "bench_seconds": round(time.monotonic() - started),
            "machine": here,
            "versions": {
                **{name: about[name] for name in ("torch", "torchvision")},
                **{name: version(name) for name in _LIBRARIES},
            },
            "options": asdict(options),
            "models": about["models"],
            "precision": {way: process.about["precision"] for way, process in processes.items()},
            "startup": {way: process.about["startup"] for way, process in processes.items()},
            "floor": floor,
            "scenarios": scenarios,
        }


def _warm_up(processes: dict[str, WayProcess], place: Place, options: Options, folder: Path) -> None:
    """Every way once on a few photos: what libraries load at their first use is start-up, not work."""
    photos = photo_set("small", _WARM_UP_PHOTOS, options.drawn)
    here = place.for_photos("warm-up")
    here.land(photos)
    for way, name in WAYS.items():
        mine = here.for_run(f"warm-up-{way}")
        processes[name].ask("run", mine, way=way, results=str(folder / "warm-up.npz"))
        mine.clear()


def _scenario(
    processes: dict[str, WayProcess],
    place: Place,
    photos: PhotoSet,
    options: Options,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    few = place.for_photos("few")
    few.land(replace(photos, files=photos.files[:_FEW_PHOTOS]))
    for number in range(options.runs):
        run: dict[str, Any] = {"few": {}}
        for way, name in WAYS.items():
            process = processes[name]
            mine = place.for_run(f"{photos.kind}-{number}-{way}")
            time.sleep(_PAUSE_SECONDS)
            with TreeMemory(process.process.pid) as memory:
                figures = process.ask("run", mine, way=way, results=str(folder / f"{way}.npz"))
            run[way] = figures | {"peak_memory_bytes": memory.peak_bytes}
            mine.clear()
        for way in _WAYS_WITH_FIXED_COST:
            mine = few.for_run(f"{photos.kind}-few-{number}-{way}")
            run["few"][way] = processes[way].ask("run", mine, way=way, results=str(folder / "few.npz"))
            mine.clear()
        runs.append(run)
        say(
            f"{photos.kind} photos on {place.store}, run {number + 1} of {options.runs}: "
            + ", ".join(f"{way} {_rate(run[way]):.2f}/s" for way in WAYS)
        )
    parts = {}
    for way in _WAYS_WITH_FIXED_COST:
        mine = place.for_run(f"{photos.kind}-parts")
        parts[way] = processes[way].ask("parts", mine)
        mine.clear()
    return {
        "photos": photos.kind,
        "store": place.store,
        "facts": photos.facts(),
        "runs": runs,
        "medians": {way: _medians([run[way] for run in runs]) for way in WAYS},
        "ratios": _ratios(runs),
        "per_photo": _per_photo(runs),
        "agreement": _agreement(folder / "pipeline.npz", folder / "plain.npz"),
        "parts_cpu_ms": parts,
    }


def _rate(figures: dict[str, Any]) -> float:
    return float(figures["images"] / figures["wall_seconds"])


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    stages = list(runs[0]["stages"])
    return {
        "images_per_second": median(_rate(run) for run in runs),
        "cpu_seconds_per_1000": median(1000 * run["cpu_seconds"] / run["images"] for run in runs),
        "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs),
        "peak_rss_bytes": max(run["peak_rss_bytes"] for run in runs),
        "stage_cpu_ms": {
            name: median(1000 * run["stages"][name]["cpu_seconds"] / run["images"] for run in runs) for name in stages
        },
        "stage_seconds": {name: median(run["stages"][name]["wall_seconds"] for run in runs) for name in stages},
    }


def _ratios(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Each ratio is taken within a run, then the median: the machine's mood changes from run to run."""
    pairs = {
        "plain_over_pipeline": ("plain", "pipeline"),
        "pipeline_over_models": ("pipeline", "models"),
        "plain_over_models": ("plain", "models"),
        "eager_over_models": ("eager", "models"),
    }
    found = {}
    for name, (above, below) in pairs.items():
        for clock in ("cpu", "wall"):
            ratios = [run[above][f"{clock}_seconds"] / run[below][f"{clock}_seconds"] for run in runs]
            found[f"{name}_{clock}"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
    return found


def _per_photo(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """CPU-ms of one more photo and of a run however small, from each run and the run of few photos beside it; ratios."""
    found: dict[str, list[float]] = {}
    for run in runs:
        more = {"models": run["models"]["cpu_seconds"] / run["models"]["images"]}
        for way in _WAYS_WITH_FIXED_COST:
            whole, few = run[way], run["few"][way]
            # As many photos as there are few make no line; then nothing is known to be fixed.
            difference = max(1, whole["images"] - few["images"])
            slope = (whole["cpu_seconds"] - few["cpu_seconds"]) / difference
            more[way] = slope if whole["images"] > few["images"] else whole["cpu_seconds"] / whole["images"]
            found.setdefault(f"{way}_fixed_cpu_ms", []).append(
                1000 * (whole["cpu_seconds"] - whole["images"] * more[way])
            )
        for way, seconds in more.items():
            found.setdefault(f"{way}_cpu_ms", []).append(1000 * seconds)
        found.setdefault("plain_over_pipeline", []).append(more["plain"] / more["pipeline"])
        found.setdefault("pipeline_over_models", []).append(more["pipeline"] / more["models"])
        found.setdefault("plain_over_models", []).append(more["plain"] / more["models"])
    return {name: median(values) for name, values in found.items()}


def _agreement(pipeline: Path, plain: Path) -> dict[str, Any]:
    """How alike the answers of both ways are for the same photos, and how alike those of different photos are."""
    ours, theirs = np.load(pipeline), np.load(plain)
    common, mine, other = np.intersect1d(ours["keys"], theirs["keys"], return_indices=True)
    vectors, same = ours["embeddings"][mine], theirs["embeddings"][other]
    cosines = (vectors * same).sum(axis=1)
    others = (vectors * np.roll(same, 1, axis=0)).sum(axis=1)
    return {
        "photos_pipeline": len(ours["keys"]),
        "photos_plain": len(theirs["keys"]),
        "photos_both": len(common),
        "same_top1": float((ours["labels"][mine] == theirs["labels"][other]).mean()),
        "largest_score_difference": float(np.abs(ours["scores"][mine] - theirs["scores"][other]).max()),
        "embedding_cosine_mean": float(cosines.mean()),
        "embedding_cosine_least": float(cosines.min()),
        "cosine_of_neighbouring_photos_mean": float(others.mean()),
    }


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="shelf-bench-"))
    try:
        for name in ("disk", "s3"):
            (folder / name).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
