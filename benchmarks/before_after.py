"""CPU time of each stage in another checkout and in this one, in one session on the same photos. `--help`.

The two checkouts run in turn, stage by stage, each in a process of its own (`before_after_stages`), so that a busy minute of
the machine affects both. Ratios are taken within a round, then the median.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.meters import machine
from benchmarks.photos import REPO_ROOT, Kind, photo_set, with_comment
from benchmarks.place import DAY
from benchmarks.tables import KINDS, table

ALLOWED_RATIO = 1.03
_SCRIPT = Path(__file__).with_name("before_after_stages.py")
# Photos of the day before, with which the models are exported and checked, and every measured process warms up.
_WARM_UP_PHOTOS = 64
_WARM_UP_DAY = DAY - timedelta(days=1)
_DAYS = (f"--day={DAY}", f"--warm-up-day={_WARM_UP_DAY}")
_PREDICTIONS = ("classifications", "clip_embeddings")
_COSTS = {
    "stages_cpu_seconds": "The stages' own CPU time, as the runs recorded it in `stage_runs`",
    "run_cpu_seconds": "The whole run in Dagster, commits and checks included, in a warm process",
}


@dataclass(frozen=True)
class Step:
    """One measured process."""

    name: str
    arguments: tuple[str, ...]


STEPS = (
    Step("raw_images", ("raw_images",)),
    # `raw_images` cuts the tensors, so they are deleted for this step.
    Step("image_tensors", ("--without-tensors", "image_tensors")),
    Step("predictions, fake models", _PREDICTIONS),
    Step("predictions, embedded models on OpenVINO", ("--models=embedded", *_PREDICTIONS)),
)


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project, and the names that its modules have."""

    folder: Path

    @property
    def names(self) -> str:
        return "current" if (self.folder / "shelf_assets" / "build.py").exists() else "1e6d190"

    @property
    def commit(self) -> str:
        command = ["git", "-C", str(self.folder), "describe", "--always", "--dirty"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or "unknown"

    def run(self, home: Path, *arguments: str) -> dict[str, Any]:
        """Run the script in this checkout. Raises RuntimeError with the end of what it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SHELF_")}
        # Only with bytecode on disk do both checkouts pay the same for imports. Passive: waiting threads use no CPU.
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        environment = kept | {
            "SHELF_HOME": str(home),
            "PYTHONPATH": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        command = [sys.executable, "-P", str(_SCRIPT), "--names", self.names, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed in {self.folder}:\n{(done.stdout + done.stderr)[-4000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before_after", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=5, help="of both checkouts in turn (%(default)s)")
    parser.add_argument("--small", type=int, default=500, help="photos of 348 px; 0: none (%(default)s)")
    parser.add_argument("--large", type=int, default=60, help="photos of 8 to 16 MP; 0: none (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the temporary folder is deleted
    sides = {"before": Checkout(arguments.before.resolve()), "after": Checkout(REPO_ROOT)}
    counts: dict[Kind, int] = {"small": arguments.small, "large": arguments.large}
    result: dict[str, Any] = {
        "machine": machine(),
        "commits": {name: side.commit for name, side in sides.items()},
        "rounds": arguments.rounds,
        "photos": [],
    }
    for kind, count in counts.items():
        if count:
            with tempfile.TemporaryDirectory(prefix="shelf-before-after-") as folder:
                result["photos"].append(measure(sides, kind, count, arguments.rounds, Path(folder)))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "before-after.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "before-after.md").write_text(page(result))
    print(page(result))


def measure(sides: Mapping[str, Checkout], kind: Kind, count: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Every step of every round: `steps` by name, each a list of rounds with the costs of both sides."""
    photos = photo_set(kind, count)
    _write(photos.files, folder / "photos")
    # Bytes of their own: a photo of the measured day with the same bytes would be a duplicate.
    warm_up = photo_set("small", _WARM_UP_PHOTOS).files
    _write([(name, with_comment(data, b"warm-up")) for name, data in warm_up], folder / "warm-up")
    for name, side in sides.items():
        _prepare(side, folder, folder / name)
        print(f"{count} photos of {KINDS[kind]}: {name} is prepared", flush=True)
    steps: dict[str, list[dict[str, Any]]] = {step.name: [] for step in STEPS}
    for number in range(rounds):
        homes = {name: Path(shutil.copytree(folder / name, folder / f"{name}-{number}")) for name in sides}
        for step in STEPS:
            # Alternating order: neither side always runs first.
            order = list(sides)[:: 1 if number % 2 == 0 else -1]
            measured = {name: sides[name].run(homes[name], *_DAYS, *step.arguments) for name in order}
            if any(found["images"] != count for found in measured.values()):
                raise RuntimeError(f"{step.name}: not every one of {count} photos was processed: {measured}")
            steps[step.name].append(measured)
        for home in homes.values():
            shutil.rmtree(home)
        print(f"{count} photos of {KINDS[kind]}: round {number + 1} of {rounds}", flush=True)
    return {"kind": kind, "facts": photos.facts(), "steps": steps}


def _prepare(side: Checkout, folder: Path, home: Path) -> None:
    """A home with the photos landed, and with models that were exported and checked."""
    side.run(home, f"--day={_WARM_UP_DAY}", f"--land={folder / 'warm-up'}")
    side.run(home, f"--day={_WARM_UP_DAY}", "--models=embedded", "raw_images", "image_tensors", *_PREDICTIONS)
    side.run(home, f"--day={DAY}", f"--land={folder / 'photos'}")


def _write(files: Sequence[tuple[str, bytes]], folder: Path) -> None:
    folder.mkdir()
    for name, data in files:
        (folder / name).write_bytes(data)


def page(result: Mapping[str, Any]) -> str:
    """The page of a result."""
    here, commits = result["machine"], result["commits"]
    described = "; ".join(f"{each['facts']['photos']} {each['facts']['source']}" for each in result["photos"])
    parts = [
        "# Before and after: CPU time of each stage",
        f"`python -m benchmarks.before_after` on {here['cores']} cores of {here['cpu']} (load {here['load_average_1m']} at "
        f"the start): commit {commits['before']} (before) and {commits['after']} (after), {result['rounds']} rounds in "
        f"turn, each step in a process of its own, on disk. Photos: {described}. Figures are medians in CPU-ms per photo; "
        f"the ratio is after ÷ before within a round: median, in brackets the range. Wanted: at most {ALLOWED_RATIO:.2f}.",
    ]
    for cost, title in _COSTS.items():
        parts += [f"## {title}", table(_HEADER, _rows(result, cost))]
    return "\n\n".join(parts) + "\n"


_HEADER = ("photos", "step", "before", "after", "after ÷ before", "holds")


def _rows(result: Mapping[str, Any], cost: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for each in result["photos"]:
        for step, rounds in each["steps"].items():
            before, after = (median(_cpu_ms(one[side], cost) for one in rounds) for side in ("before", "after"))
            ratios = [_cpu_ms(one["after"], cost) / _cpu_ms(one["before"], cost) for one in rounds]
            rows.append(
                (
                    KINDS[each["kind"]],
                    step,
                    f"{before:.2f}",
                    f"{after:.2f}",
                    f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})",
                    "yes" if median(ratios) <= ALLOWED_RATIO else "**no**",
                )
            )
    return rows


def _cpu_ms(measured: Mapping[str, float], cost: str) -> float:
    return 1000 * measured[cost] / measured["images"]


if __name__ == "__main__":
    main()
