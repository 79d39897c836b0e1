"""A whole bench: a process for each baseline, all of them in turn on every set of photos and store.

Each baseline has its own module; statistics are in `metrics`, the page is in `report`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import metrics
from benchmarks.baselines import BASELINES, BY_NAME, CLASSIFIER, EMBEDDER, BenchOptions
from benchmarks.meters import machine
from benchmarks.photos import Kind, photo_set
from benchmarks.place import Place, StoreKind, open_store
from benchmarks.process import BaselineFailed, BaselineProcess

_LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "open-clip-torch",
    "openvino",
    "deltalake",
    "obstore",
    "pillow",
    "boto3",
    "smart-open",
    "s3torchconnector",
    "daft",
    "ray",
)
# Idle threads of the previous baseline spin for a moment; the next one should not pay for it.
_PAUSE_SECONDS = 0.3
_WARM_UP_PHOTOS = 4
# A stub run of few photos beside one of many separates the fixed cost of a run (commits, starting workers) from a photo's.
_FEW_PHOTOS = 2
_FIDELITY_PHOTOS = 16

Print = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """`images` small photos and half as many large ones, `runs` times through every baseline.

    Stub runs, which answer without inference, take `stub_times` as many small photos and as many large ones.
    """

    images: int = 24
    runs: int = 5
    stub_runs: int = 3
    stub_times: int = 6
    photos: tuple[Kind, ...] = ("small", "large")
    stores: tuple[StoreKind, ...] = ("disk", "s3")
    baselines: tuple[str, ...] = tuple(BY_NAME)
    batch_size: int = 16
    threads: int = os.cpu_count() or 1
    loader_workers: int = os.cpu_count() or 1
    drawn: bool = False
    warm_up: bool = True

    def count(self, kind: Kind) -> int:
        return self.images if kind == "small" else max(_FEW_PHOTOS, self.images // 2)

    def stub_count(self, kind: Kind) -> int:
        return self.count(kind) * (self.stub_times if kind == "small" else 1)


def quick(options: Options) -> Options:
    """Options of a bench of a few minutes, which shows that every baseline works; its figures are noise."""
    return replace(options, images=8, runs=1, stub_runs=1, stub_times=2, stores=("disk",), batch_size=4, warm_up=False)


@dataclass
class Session:
    """The state of one bench: the baselines that still run, and the reasons why others do not."""

    options: Options
    folder: Path
    say: Print
    processes: dict[str, BaselineProcess] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ask(self, baseline: str, failed: dict[str, str], verb: str, place: Place, **more: Any) -> Any:
        """The baseline's answer; None where it fails, which is then printed and recorded in `failed`."""
        if baseline in failed or baseline not in self.processes:
            return None
        process = self.processes[baseline]
        try:
            return process.run(place, **more) if verb == "run" else process.ask(verb, place, **more)
        except BaselineFailed as reason:
            self.say(f"{baseline} is left out: {reason}")
            failed[baseline] = str(reason)
            return None


def run_bench(options: Options, say: Print) -> dict[str, Any]:
    """Run the bench and return its result for JSON. The temporary folder holds the photos and the results of one run."""
    started = time.monotonic()
    here = machine()
    with _folder() as folder, ExitStack() as stack:
        session = Session(options, folder, say)
        _open_baselines(session, stack)
        scenarios: list[dict[str, Any]] = []
        floor: dict[str, Any] = {"fidelity": {}}
        for store in options.stores:
            with open_store(store, folder / store) as place:
                if options.warm_up:
                    _warm_up(session, place)
                for kind in options.photos:
                    scenarios.append(_scenario(session, place.for_photos(kind), kind))
                    if kind not in floor["fidelity"]:
                        floor["fidelity"][kind] = _fidelity(session, place.for_photos(kind))
        floor["peak_gflops_per_core"] = _peaks(session, place)
        return {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "bench_seconds": round(time.monotonic() - started),
            "machine": here,
            "versions": _versions(),
            "options": asdict(options),
            "models": [CLASSIFIER, EMBEDDER],
            "baselines": {
                baseline.name: asdict(baseline) for baseline in BASELINES if baseline.name in options.baselines
            },
            "absent": session.absent,
            "precision": {name: process.about["precision"] for name, process in session.processes.items()},
            "start_up": {name: process.about["start_up"] for name, process in session.processes.items()},
            "floor": floor,
            "scenarios": scenarios,
        }


def _open_baselines(session: Session, stack: ExitStack) -> None:
    options = session.options
    session.say(f"loading the models, once in each of {len(options.baselines)} processes")
    started = {}
    for name in options.baselines:
        scratch = session.folder / name.replace(" ", "-")
        scratch.mkdir()
        settings = BenchOptions(
            options.batch_size, options.threads, options.loader_workers, options.drawn, str(scratch)
        )
        started[name] = BaselineProcess(BY_NAME[name], settings, session.folder / f"{name}.log")
        stack.callback(started[name].close)
    for name, process in started.items():
        try:
            process.await_start()
        except BaselineFailed as reason:
            session.absent[name] = str(reason)
            session.say(f"{name} does not run here: {reason}")
            continue
        session.processes[name] = process
        session.say(f"{name}: ready after {process.about['start_up']['cpu_seconds']:.0f} CPU-s")


def _warm_up(session: Session, place: Place) -> None:
    """Run every baseline once on a few photos: loading at first use is start-up, not work."""
    here = place.for_photos("warm-up")
    here.land(photo_set("small", _WARM_UP_PHOTOS, session.options.drawn))
    for baseline in tuple(session.processes):
        mine = here.for_run(f"warm-up-{baseline.replace(' ', '-')}")
        # A failure here recurs where it is measured, and counts there: some baselines support only one store.
        session.ask(baseline, {}, "run", mine)
        mine.clear()


def _scenario(session: Session, place: Place, kind: Kind) -> dict[str, Any]:
    options, failed = session.options, dict(session.absent)
    photos = photo_set(kind, options.count(kind), options.drawn)
    many = photo_set(kind, options.stub_count(kind), options.drawn)
    few = replace(photos, files=photos.files[:_FEW_PHOTOS])
    places = {"whole": place, "many": place.for_photos("stub-many"), "few": place.for_photos("stub-few")}
    for name, files in (("whole", photos), ("many", many), ("few", few)):
        places[name].land(files)
    runs: list[dict[str, Any]] = []
    stub: list[dict[str, Any]] = []
    for number in range(options.runs):
        runs.append(_whole_runs(session, places["whole"], f"{kind}-{number}", failed))
        session.say(_progress(kind, place.store, number, options.runs, runs[-1]))
        if number < options.stub_runs:
            stub.append(_stub_runs(session, places, f"{kind}-{number}", failed))
    parts = {baseline: _parts(session, place, baseline, failed) for baseline in _baselines_with_parts(session)}
    return {
        "photos": kind,
        "store": place.store,
        "facts": photos.facts() | {"stub_photos": options.stub_count(kind)},
        "failed": failed,
        "runs": runs,
        "stub_runs": stub,
        "baselines": metrics.of_baselines(runs, stub, failed),
        "ratios": metrics.ratios(runs, failed),
        "agreement": metrics.agreements(session.folder, tuple(session.processes), failed),
        "parts_cpu_ms": {baseline: found for baseline, found in parts.items() if found},
    }


def _whole_runs(session: Session, place: Place, name: str, failed: dict[str, str]) -> dict[str, Any]:
    """Every baseline once, in turn, each followed by its models alone."""
    found: dict[str, Any] = {}
    for baseline in tuple(session.processes):
        mine = place.for_run(f"{name}-{baseline.replace(' ', '-')}")
        results = str(metrics.answers_file(session.folder, baseline))
        time.sleep(_PAUSE_SECONDS)
        whole = session.ask(baseline, failed, "run", mine, results=results)
        mine.clear()
        if not whole:
            continue
        time.sleep(_PAUSE_SECONDS)
        alone = session.ask(baseline, failed, "models_alone", place, photos=session.options.batch_size)
        found[baseline] = {"whole": whole, "models_alone": alone}
    return found


def _stub_runs(session: Session, places: dict[str, Place], name: str, failed: dict[str, str]) -> dict[str, Any]:
    """Every baseline once with many photos and once with few, without inference."""
    found: dict[str, Any] = {}
    for baseline in tuple(session.processes):
        found[baseline] = {}
        for size in ("many", "few"):
            mine = places[size].for_run(f"{name}-{size}-{baseline.replace(' ', '-')}")
            time.sleep(_PAUSE_SECONDS)
            found[baseline][size] = session.ask(baseline, failed, "run", mine, stub=True)
            mine.clear()
    return {baseline: sizes for baseline, sizes in found.items() if all(sizes.values())}


def _baselines_with_parts(session: Session) -> list[str]:
    """The first of our baselines that runs, and the plain one."""
    ours = [baseline for baseline in session.processes if BY_NAME[baseline].role == "ours"][:1]
    return ours + [baseline for baseline in session.processes if BY_NAME[baseline].role == "plain"]


def _parts(session: Session, place: Place, baseline: str, failed: dict[str, str]) -> dict[str, float] | None:
    mine = place.for_run("parts")
    # A failure here does not affect the baseline's runs, which are complete.
    parts: dict[str, float] | None = session.ask(baseline, dict(failed), "parts", mine)
    mine.clear()
    return parts


def _fidelity(session: Session, place: Place) -> dict[str, float] | None:
    baseline = _with_torch(session)
    found: dict[str, float] | None = session.ask(baseline, {}, "fidelity", place, photos=_FIDELITY_PHOTOS)
    return found


def _with_torch(session: Session) -> str:
    """A process with torch loaded measures what does not depend on a baseline."""
    return next((name for name in session.processes if BY_NAME[name].backend == "torch"), "")


def _peaks(session: Session, place: Place) -> dict[str, float]:
    precisions = sorted({process.about["precision"] for process in session.processes.values()})
    baseline = _with_torch(session)
    return session.ask(baseline, {}, "peaks", place, precisions=precisions) or {}


def _progress(kind: Kind, store: StoreKind, number: int, runs: int, found: dict[str, Any]) -> str:
    rates = (f"{baseline} {metrics.rate(each['whole']):.2f}/s" for baseline, each in found.items())
    return f"{kind} photos on {store}, run {number + 1} of {runs}: " + ", ".join(rates)


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="shelf-bench-"))
    try:
        for name in ("disk", "s3"):
            (folder / name).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
