"""Start-up of processes: CPU and wall seconds of fresh processes before their first work. `--help`.

The last two cases are whole step processes over a day of one photo, with models that were exported and checked before: with
so little to infer they consist of start-up, up to the first answers of both models and up to the end of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.meters import Span, machine, timed
from benchmarks.photos import REPO_ROOT, photo_set
from benchmarks.place import DAY

_STAGE, _UNTIL_ANSWERED = "--stage", "--until-answered"
_PARITY_PHOTOS = 64
_READ, _PREDICT = ("raw_images", "image_tensors"), ("classifications", "clip_embeddings")


@dataclass
class Case:
    """One kind of process; `predicts`: each process needs a day that is read and not yet predicted."""

    name: str
    command: list[str]
    predicts: bool = False
    spans: list[Span] = field(default_factory=list)

    def metrics(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "cpu_seconds": [round(span.cpu_seconds, 3) for span in self.spans],
            "wall_seconds": [round(span.wall_seconds, 3) for span in self.spans],
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="processes of each kind, at least 5 (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    parser.add_argument(_STAGE, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--day", help=argparse.SUPPRESS)
    parser.add_argument(_UNTIL_ANSWERED, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        _run_stages(arguments.stage, arguments.day, arguments.until_answered)
        return
    if arguments.rounds < 5:
        parser.error("a median of fewer than 5 processes says little on a shared machine")
    here = machine()
    with tempfile.TemporaryDirectory(prefix="shelf-startup-") as folder:
        cases = measured(Path(folder), arguments.rounds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = {"machine": here, "rounds": arguments.rounds, "cases": [case.metrics() for case in cases]}
    (arguments.out / "startup.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "startup.md").write_text(page(result))
    print(page(result))


def measured(folder: Path, rounds: int) -> list[Case]:
    """Every case `rounds` times, in turn, so that a busy minute of the machine affects all cases."""
    cases = _cases()
    home = folder / "home"
    _prepare(home)
    # The first round is not counted: it fills the page cache and writes bytecode.
    for number in range(rounds + 1):
        for case in cases:
            with _home(home, folder, fresh=case.predicts) as environment:
                span = Span()
                with timed(span):
                    _process(case.command, environment)
            if number:
                case.spans.append(span)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    return cases


def _cases() -> list[Case]:
    python, shelf = sys.executable, [sys.executable, "-m", "shelf_assets.cli.app"]
    return [
        Case("`import dagster`", [python, "-c", "import dagster"]),
        Case("load of the code location", [python, "-c", "from shelf_assets.definitions import defs; defs()"]),
        Case("`shelf --help`", [*shelf, "--help"]),
        Case("`shelf config`", [*shelf, "config"]),
        Case("predictions, to both models' first answers", [*_stages(*_PREDICT), _UNTIL_ANSWERED], predicts=True),
        Case("predictions of one photo, both models", _stages(*_PREDICT), predicts=True),
    ]


def _stages(*names: str, day: date = DAY) -> list[str]:
    return [sys.executable, "-m", "benchmarks.startup", _STAGE, *names, "--day", day.isoformat()]


def _prepare(home: Path) -> None:
    """A home with dbt's manifest, with models that were checked on photos of the day before, and one photo that is read."""
    from shelf_assets.intake.put_photos import land
    from shelf_assets.lake.lake import Lake

    day_before = DAY - timedelta(days=1)
    objects = Lake(_lake(home)).objects
    photos = photo_set("small", _PARITY_PHOTOS + 1).files
    list(land(objects, day_before, photos[1:]))
    _process(_stages(*_READ, *_PREDICT, day=day_before), _environment(home))
    list(land(objects, DAY, photos[:1]))
    _process(_stages(*_READ), _environment(home))


def _end_when_answered() -> None:
    """End the process at the first answer of the second model, before rows are written."""
    from shelf_assets.models.backends.opening import OpenModel

    submit, arguments = OpenModel.submit, set[str]()

    def submit_and_count(model: OpenModel, pixels: Any) -> Any:
        answer = submit(model, pixels)
        answer()
        arguments.add(model.spec.model_id)
        if len(arguments) == len(_PREDICT):
            assert "torch" not in sys.modules, "an exported model needs no torch"
            os._exit(0)
        return answer

    OpenModel.submit = submit_and_count  # type: ignore[method-assign, assignment]


def _run_stages(stages: list[str], day: str, until_answered: bool) -> None:
    """The process of a step, without a run worker above it."""
    import logging

    import dagster as dg

    logging.disable(logging.INFO)
    from shelf_assets.build import build_defs
    from shelf_assets.defs.running import run_days
    from shelf_assets.settings import load_settings

    if until_answered:
        _end_when_answered()
    with dg.DagsterInstance.ephemeral() as instance:
        run_days(
            build_defs(load_settings()), instance, [date.fromisoformat(day)], {dg.AssetKey(stage) for stage in stages}
        )


@contextmanager
def _home(home: Path, folder: Path, fresh: bool) -> Iterator[dict[str, str]]:
    """The environment of a process; `fresh` gives it a copy of the home, because finished predictions are not repeated."""
    if not fresh:
        yield _environment(home)
        return
    copy = shutil.copytree(home, folder / "copy")
    yield _environment(copy)
    shutil.rmtree(copy)


def _environment(home: Path) -> dict[str, str]:
    # With bytecode on disk, all processes pay the same for the import of our modules.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"SHELF_HOME": str(home), "SHELF_LAKE_URL": _lake(home)}


def _lake(home: Path) -> str:
    return (home / "lake").as_uri()


def _process(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def page(result: Mapping[str, Any]) -> str:
    """The page of a result."""
    here, rounds = result["machine"], result["rounds"]
    lines = [
        "# Start-up",
        "",
        f"`python -m benchmarks.startup --rounds {rounds}` on {here['cores']} cores of {here['cpu']}, "
        f"Python {here['python']}:",
        f"medians of {rounds} fresh processes each, in turn; files in the page cache, bytecode on disk, dbt's manifest made.",
        "CPU is user and system time. The last two lines are step processes with exported and checked models: from `python` to the",
        "first answers of both models, without torch, and to the end of the process, with rows committed and MLflow logged.",
        "",
        "| process | CPU seconds | wall seconds |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {case['name']} | {median(case['cpu_seconds']):.2f} | {median(case['wall_seconds']):.2f} |"
        for case in result["cases"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
