"""One measured process of `before_after`: stages of one day on the lake of SHELF_HOME. Prints CPU seconds as JSON.

Runs as a script with another checkout on PYTHONPATH, so it may import nothing of `benchmarks`. `--names` says which
checkout it meets: `current`, or `1e6d190`, the commit before rooms, settings and names were changed.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import resource
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", choices=("current", "1e6d190"), required=True)
    parser.add_argument("--models", choices=("fake", "embedded"), default="fake")
    parser.add_argument("--day", type=date.fromisoformat, required=True)
    parser.add_argument("--warm-up-day", type=date.fromisoformat, help="a day to run before, not measured")
    parser.add_argument("--land", type=Path, help="folder of photos to land as they are; nothing is measured")
    parser.add_argument("--without-tensors", action="store_true", help="delete the day's tensors first")
    parser.add_argument("stages", nargs="*")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    platform = (_open_current if arguments.names == "current" else _open_1e6d190)(arguments.models)
    if arguments.land:
        platform.land(arguments.day, {path.name: path.read_bytes() for path in sorted(arguments.land.iterdir())})
        return
    if arguments.without_tensors:
        platform.drop_tensors(arguments.day)
    if arguments.warm_up_day:
        # Imports and the first run of a job are start-up, which `startup` measures.
        platform.run(arguments.warm_up_day, stages=arguments.stages)
    print(json.dumps(_run(platform, arguments.day, arguments.stages)))


def _run(platform: Any, day: date, stages: Sequence[str]) -> dict[str, float]:
    """`stages_cpu_seconds` as the run recorded it in `stage_runs`; `run_cpu_seconds` of the whole run in Dagster."""
    # Freeze the objects of start-up: collecting them at a random moment would disturb the measured run.
    gc.collect()
    gc.freeze()
    before = _cpu_seconds()
    (run,) = platform.run(day, stages=stages)
    spent = _cpu_seconds() - before
    rows = platform.rows("stage_runs").filter(run_id=run.run_id)
    return {
        "images": int(rows["images"].max() or 0),
        "stages_cpu_seconds": float(rows["cpu_seconds"].sum()),
        "run_cpu_seconds": spent,
    }


def _open_current(models: str) -> Any:
    from shelf_assets.settings import load_settings
    from shelf_assets_tests.stories.fakes import NoTracking
    from shelf_assets_tests.stories.support import Platform

    if models == "fake":
        return Platform(load_settings())
    settings = load_settings(models__set="embedded", models__backend="openvino")
    return Platform(settings, {"tracking": NoTracking("")})


def _open_1e6d190(models: str) -> Any:
    from shelf_assets_tests.stories.stand_ins import NoTracking

    from shelf_assets.settings import load_settings
    from shelf_assets_tests.stories.support import Shop  # type: ignore[attr-defined]

    if models == "fake":
        return Shop(load_settings())
    return Shop(load_settings(models="embedded", backend="openvino"), {"tracking": NoTracking()})


def _cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
