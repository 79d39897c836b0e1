"""Days of many photos through the graph, each in one process: speed, and above all memory. `--help`.

With fake models, which cost nothing and need no torch, the streaming around the models is measured; with the embedded models
the whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.meters import cpu_seconds, machine
from benchmarks.photos import REPO_ROOT, Kind, photo_set, with_comment

_RUN = "--run-only"
_DISTINCT = {"small": 296, "large": 13}
WANTED_PEAK_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Day:
    """`photos` of a kind on one day; `models` are fake or embedded."""

    kind: Kind
    photos: int
    models: str

    def __str__(self) -> str:
        size = "348 px" if self.kind == "small" else "8–16 MP"
        return f"{self.photos:,} photos of {size}, {self.models} models"


# The comparison of the first two shows what grows with the day.
DAYS = (
    Day("small", 20_000, "fake"),
    Day("small", 100_000, "fake"),
    Day("small", 5_000, "embedded"),
    Day("large", 2_000, "embedded"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.big_day", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of each day's photos (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    parser.add_argument(_RUN, choices=("fake", "embedded"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run_only:
        print(json.dumps(_run(arguments.run_only)))
        return
    result: dict[str, Any] = {"machine": machine(), "days": []}
    for day in DAYS:
        scaled = Day(day.kind, max(1, round(day.photos * arguments.scale)), day.models)
        print(f"{scaled}: landing", flush=True)
        found = vars(scaled) | _measure(scaled)
        result["days"].append(found)
        print(f"{scaled}: peak {found['peak_memory_bytes'] / 1e6:,.0f} MB", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "big-day.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "big-day.md").write_text(page(result))
    print(arguments.out / "big-day.md")


def _measure(day: Day) -> dict[str, Any]:
    # Photos and tensors of the largest day need 18 GB there.
    with tempfile.TemporaryDirectory(prefix="shelf-big-day-") as home:
        environment = os.environ | {"SHELF_HOME": home, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        source = _land(Path(home), day)
        command = [sys.executable, "-m", "benchmarks.big_day", _RUN, day.models]
        done = subprocess.run(command, cwd=REPO_ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"source": source}


def _land(home: Path, day: Day) -> str:
    from benchmarks.place import DAY
    from shelf_assets.build import open_lake
    from shelf_assets.intake.put_photos import land
    from shelf_assets.settings import load_settings

    few = photo_set(day.kind, min(day.photos, _DISTINCT[day.kind]))
    files = (
        (f"{number}.jpg", with_comment(few.files[number % len(few.files)][1], f"of the day {number}".encode()))
        for number in range(day.photos)
    )
    objects = open_lake(load_settings(home=home)).objects
    for number, _ in enumerate(land(objects, DAY, files), 1):
        if number % 20_000 == 0:
            print(f"{number:,} photos landed", flush=True)
    return few.source


def _run(models: str) -> dict[str, Any]:
    """Run the day, then the finished day again."""
    import logging

    from benchmarks.place import DAY
    from shelf_assets.observe.meter import peak_memory_bytes
    from shelf_assets.settings import load_settings
    from shelf_assets_tests.stories.fakes import NoTracking
    from shelf_assets_tests.stories.support import Platform

    logging.disable(logging.INFO)
    platform = (
        Platform(load_settings())
        if models == "fake"
        else Platform(load_settings(models__set="embedded"), {"tracking": NoTracking("")})
    )
    platform.run(DAY)
    rows = platform.rows("stage_runs").sort("finished_at")
    wall, cpu = time.perf_counter(), cpu_seconds()
    (again,) = platform.run(DAY)
    assert platform.work(again) == {}, "a finished day was processed again"
    return {
        "stages": rows.select("stage", "images", "wall_seconds", "cpu_seconds", "peak_memory_bytes").to_dicts(),
        "peak_memory_bytes": peak_memory_bytes(),
        "again_wall_seconds": time.perf_counter() - wall,
        "again_cpu_seconds": cpu_seconds() - cpu,
    }


def page(result: Mapping[str, Any]) -> str:
    """The page of a result."""
    here = result["machine"]
    days = [(Day(each["kind"], each["photos"], each["models"]), each) for each in result["days"]]
    lines = [
        "# Big days in one process each",
        "",
        f"`python -m benchmarks.big_day` on {here['cores']} cores of {here['cpu']}. Photos have unique bytes",
        "and are on disk; all stages run through Dagster in one process. Fake models cost nothing and need no torch. Peak memory",
        "is that of the whole process so far, Python, Dagster and polars included; goal: below 2,000 MB.",
        "",
        "| day | stage | photos/s | CPU-ms per photo | peak memory so far, MB |",
        "|---|---|---:|---:|---:|",
    ]
    for day, found in days:
        for stage in found["stages"]:
            rate = f"{stage['images'] / stage['wall_seconds']:,.0f}"
            cpu_ms = f"{1000 * stage['cpu_seconds'] / stage['images']:.2f}"
            memory = f"{stage['peak_memory_bytes'] / 1e6:,.0f}"
            lines.append(f"| {day} | {stage['stage']} | {rate} | {cpu_ms} | {memory} |")
    lines += [
        "",
        "## The finished day again",
        "",
        "Nothing is inferred or committed; the process is running. The cost is listing, reading tables and Dagster's steps.",
        "",
        "| day | wall s | CPU-s | final peak memory, MB | below 2,000 |",
        "|---|---:|---:|---:|---|",
    ]
    for day, found in days:
        holds = "yes" if found["peak_memory_bytes"] < WANTED_PEAK_BYTES else "**no**"
        seconds = f"{found['again_wall_seconds']:.1f} | {found['again_cpu_seconds']:.1f}"
        lines.append(f"| {day} | {seconds} | {found['peak_memory_bytes'] / 1e6:,.0f} | {holds} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
