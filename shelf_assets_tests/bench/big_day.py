"""A day of many photos through the graph in one process: how fast, and above all in how much memory. `--help`.

The models are stand-ins that cost nothing and need no torch: what is measured is the streaming around them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shelf_assets_tests.bench.meters import machine
from shelf_assets_tests.bench.photos import REPO_ROOT, photo_set, with_comment

_RUN = "--run-only"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shelf_assets_tests.bench.big_day", description=__doc__)
    parser.add_argument("--photos", type=int, default=20_000, help="small photos of the day (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    parser.add_argument(_RUN, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run_only:
        print(json.dumps(_run()))
        return
    # The files of all those photos are most of what the folder needs room for.
    with tempfile.TemporaryDirectory(prefix="shelf-big-day-") as home:
        environment = os.environ | {"SHELF_HOME": home}
        source = _land(Path(home), asked.photos)
        command = [sys.executable, "-m", "shelf_assets_tests.bench.big_day", _RUN]
        done = subprocess.run(command, cwd=REPO_ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    stages = json.loads(done.stdout.splitlines()[-1])
    page = _page(source, asked.photos, stages)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "big-day.md").write_text(page)
    print(page)


def _land(home: Path, count: int) -> str:
    from shelf_assets.lake.landing import land
    from shelf_assets.resources.lake import lake_of
    from shelf_assets.settings import load_settings
    from shelf_assets_tests.bench.place import DAY

    few = photo_set("small", min(count, 296))
    files = (
        (f"{number}.jpg", with_comment(few.files[number % len(few.files)][1], f"of the day {number}".encode()))
        for number in range(count)
    )
    objects = lake_of(load_settings(home=home)).objects
    for number, _ in enumerate(land(objects, DAY, files), 1):
        if number % 5_000 == 0:
            print(f"{number:,} photos landed", flush=True)
    return few.source


def _run() -> list[dict[str, Any]]:
    import logging

    from shelf_assets_tests.bench.place import DAY
    from shelf_assets_tests.stories.support import open_shop

    logging.disable(logging.INFO)
    shop = open_shop()
    shop.run(DAY)
    rows = shop.rows("stage_runs").sort("finished_at")
    return rows.select("stage", "images", "wall_seconds", "cpu_seconds", "peak_memory_bytes").to_dicts()


def _page(source: str, photos: int, stages: list[dict[str, Any]]) -> str:
    here = machine()
    lines = [
        f"# A day of {photos:,} photos in one process",
        "",
        f"`python -m shelf_assets_tests.bench.big_day --photos {photos}` on {here['cores']} cores of {here['cpu']}:",
        f"{source}, each file with bytes of its own, on disk; all stages through Dagster in one process, the models being",
        "stand-ins that cost nothing. Peak memory is the whole process's so far, Python, Dagster and polars included.",
        "",
        "| stage | photos | photos/s | CPU-ms per photo | peak memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for stage in stages:
        rate = f"{stage['images'] / stage['wall_seconds']:,.0f}"
        cpu_ms = f"{1000 * stage['cpu_seconds'] / stage['images']:.1f}"
        lines.append(
            f"| {stage['stage']} | {stage['images']:,} | {rate} | {cpu_ms} | {stage['peak_memory_bytes'] / 1e6:,.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
