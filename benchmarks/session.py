"""A whole bench: a process for each way, all of them in turn on every set of photos and store.

How a way works belongs in its module, how runs are added up in `figures`, how they are told in `report`.
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

from benchmarks import figures
from benchmarks.baselines import BY_NAME, CLASSIFIER, EMBEDDER, WAYS, Settings
from benchmarks.meters import machine
from benchmarks.photos import Kind, photo_set
from benchmarks.place import Place, StoreKind, open_store
from benchmarks.process import WayFailed, WayProcess

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
# Idle threads of the way before spin for a moment; the next one should not pay for it.
_PAUSE_SECONDS = 0.3
_WARM_UP_PHOTOS = 4
# A hollow run of so few photos beside one of many tells a run's fixed cost (commits, starting workers) from a photo's.
_FEW_PHOTOS = 2
_FIDELITY_PHOTOS = 16

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """`images` small photos and half as many large ones, each `runs` times through every way.

    Hollow runs, without models, take `hollow_times` as many small photos and as many large ones.
    """

    images: int = 24
    runs: int = 5
    hollow_runs: int = 3
    hollow_times: int = 6
    photos: tuple[Kind, ...] = ("small", "large")
    stores: tuple[StoreKind, ...] = ("disk", "s3")
    ways: tuple[str, ...] = tuple(BY_NAME)
    batch_size: int = 16
    threads: int = os.cpu_count() or 1
    loader_workers: int = os.cpu_count() or 1
    drawn: bool = False
    warm_up: bool = True

    def count(self, kind: Kind) -> int:
        return self.images if kind == "small" else max(_FEW_PHOTOS, self.images // 2)

    def hollow_count(self, kind: Kind) -> int:
        return self.count(kind) * (self.hollow_times if kind == "small" else 1)


def quick(options: Options) -> Options:
    """A bench of a few minutes, for looking whether all ways work; its figures are noise."""
    return replace(
        options, images=8, runs=1, hollow_runs=1, hollow_times=2, stores=("disk",), batch_size=4, warm_up=False
    )


@dataclass
class Session:
    """What one bench holds: its ways that still run, and why the others do not."""

    options: Options
    folder: Path
    say: Say
    processes: dict[str, WayProcess] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ask(self, way: str, failed: dict[str, str], verb: str, place: Place, **more: Any) -> Any:
        """What a way answers; None where it fails, which then is in `failed` and said aloud, once."""
        if way in failed or way not in self.processes:
            return None
        process = self.processes[way]
        try:
            return process.run(place, **more) if verb == "run" else process.ask(verb, place, **more)
        except WayFailed as reason:
            self.say(f"{way} is left out: {reason}")
            failed[way] = str(reason)
            return None


def run_bench(options: Options, say: Say) -> dict[str, Any]:
    """Everything measured, as JSON. The temporary folder needs room for the photos and the results of one run."""
    started = time.monotonic()
    here = machine()
    with _folder() as folder, ExitStack() as stack:
        session = Session(options, folder, say)
        _open_ways(session, stack)
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
            "ways": {way.name: asdict(way) for way in WAYS if way.name in options.ways},
            "absent": session.absent,
            "precision": {name: process.about["precision"] for name, process in session.processes.items()},
            "start_up": {name: process.about["start_up"] for name, process in session.processes.items()},
            "floor": floor,
            "scenarios": scenarios,
        }


def _open_ways(session: Session, stack: ExitStack) -> None:
    options = session.options
    session.say(f"loading the models, once in each of {len(options.ways)} processes")
    started = {}
    for name in options.ways:
        scratch = session.folder / name.replace(" ", "-")
        scratch.mkdir()
        settings = Settings(options.batch_size, options.threads, options.loader_workers, options.drawn, str(scratch))
        started[name] = WayProcess(BY_NAME[name], settings, session.folder / f"{name}.log")
        stack.callback(started[name].close)
    for name, process in started.items():
        try:
            process.await_start()
        except WayFailed as reason:
            session.absent[name] = str(reason)
            session.say(f"{name} does not run here: {reason}")
            continue
        session.processes[name] = process
        session.say(f"{name}: ready after {process.about['start_up']['cpu_seconds']:.0f} CPU-s")


def _warm_up(session: Session, place: Place) -> None:
    """Every way once on a few photos: what libraries load at their first use is start-up, not work."""
    here = place.for_photos("warm-up")
    here.land(photo_set("small", _WARM_UP_PHOTOS, session.options.drawn))
    for way in tuple(session.processes):
        mine = here.for_run(f"warm-up-{way.replace(' ', '-')}")
        # A failure here comes again where it is measured, and counts there: some ways know one store only.
        session.ask(way, {}, "run", mine)
        mine.clear()


def _scenario(session: Session, place: Place, kind: Kind) -> dict[str, Any]:
    options, failed = session.options, dict(session.absent)
    photos = photo_set(kind, options.count(kind), options.drawn)
    many = photo_set(kind, options.hollow_count(kind), options.drawn)
    few = replace(photos, files=photos.files[:_FEW_PHOTOS])
    places = {"whole": place, "many": place.for_photos("hollow-many"), "few": place.for_photos("hollow-few")}
    for name, files in (("whole", photos), ("many", many), ("few", few)):
        places[name].land(files)
    runs: list[dict[str, Any]] = []
    hollow: list[dict[str, Any]] = []
    for number in range(options.runs):
        runs.append(_whole_runs(session, places["whole"], f"{kind}-{number}", failed))
        session.say(_progress(kind, place.store, number, options.runs, runs[-1]))
        if number < options.hollow_runs:
            hollow.append(_hollow_runs(session, places, f"{kind}-{number}", failed))
    parts = {way: _parts(session, place, way, failed) for way in _ways_with_parts(session)}
    return {
        "photos": kind,
        "store": place.store,
        "facts": photos.facts() | {"hollow_photos": options.hollow_count(kind)},
        "failed": failed,
        "runs": runs,
        "hollow_runs": hollow,
        "ways": figures.of_ways(runs, hollow, failed),
        "ratios": figures.ratios(runs, failed),
        "agreement": figures.agreements(session.folder, tuple(session.processes), failed),
        "parts_cpu_ms": {way: found for way, found in parts.items() if found},
    }


def _whole_runs(session: Session, place: Place, name: str, failed: dict[str, str]) -> dict[str, Any]:
    """Every way once, in turn, and beside it its models alone."""
    found: dict[str, Any] = {}
    for way in tuple(session.processes):
        mine = place.for_run(f"{name}-{way.replace(' ', '-')}")
        results = str(figures.answers_file(session.folder, way))
        time.sleep(_PAUSE_SECONDS)
        whole = session.ask(way, failed, "run", mine, results=results)
        mine.clear()
        if not whole:
            continue
        time.sleep(_PAUSE_SECONDS)
        alone = session.ask(way, failed, "models_alone", place, photos=session.options.batch_size)
        found[way] = {"whole": whole, "models_alone": alone}
    return found


def _hollow_runs(session: Session, places: dict[str, Place], name: str, failed: dict[str, str]) -> dict[str, Any]:
    """Every way once with many photos and once with a few, without models."""
    found: dict[str, Any] = {}
    for way in tuple(session.processes):
        found[way] = {}
        for size in ("many", "few"):
            mine = places[size].for_run(f"{name}-{size}-{way.replace(' ', '-')}")
            time.sleep(_PAUSE_SECONDS)
            found[way][size] = session.ask(way, failed, "run", mine, hollow=True)
            mine.clear()
    return {way: sizes for way, sizes in found.items() if all(sizes.values())}


def _ways_with_parts(session: Session) -> list[str]:
    """The first of our ways that runs, and the plain one."""
    ours = [way for way in session.processes if BY_NAME[way].role == "ours"][:1]
    return ours + [way for way in session.processes if BY_NAME[way].role == "plain"]


def _parts(session: Session, place: Place, way: str, failed: dict[str, str]) -> dict[str, float] | None:
    mine = place.for_run("parts")
    # What fails here takes nothing from the way's runs, which are done.
    parts: dict[str, float] | None = session.ask(way, dict(failed), "parts", mine)
    mine.clear()
    return parts


def _fidelity(session: Session, place: Place) -> dict[str, float] | None:
    way = _with_torch(session)
    found: dict[str, float] | None = session.ask(way, {}, "fidelity", place, photos=_FIDELITY_PHOTOS)
    return found


def _with_torch(session: Session) -> str:
    """Any process can tell what is no way's own; one that holds torch anyway does."""
    return next((name for name in session.processes if BY_NAME[name].backend == "torch"), "")


def _peaks(session: Session, place: Place) -> dict[str, float]:
    precisions = sorted({process.about["precision"] for process in session.processes.values()})
    way = _with_torch(session)
    return session.ask(way, {}, "peaks", place, precisions=precisions) or {}


def _progress(kind: Kind, store: StoreKind, number: int, runs: int, found: dict[str, Any]) -> str:
    rates = (f"{way} {figures.rate(each['whole']):.2f}/s" for way, each in found.items())
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
