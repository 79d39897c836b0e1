"""The command: `python -m benchmarks`. Options in, three files out."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.photos import REPO_ROOT
from benchmarks.session import Options, quick, run_bench


def main() -> None:
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare this pipeline with plain PyTorch, with rivals and with its own models alone, on the same photos.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few photos, one run, on disk: shows that every baseline works"
    )
    parser.add_argument(
        "--images", type=int, default=None, help=f"small photos per run; large: half ({default.images})"
    )
    parser.add_argument("--runs", type=int, default=None, help=f"runs of each baseline, in turn ({default.runs})")
    parser.add_argument("--photos", choices=("small", "large", "both"), default="both")
    parser.add_argument("--store", choices=("disk", "s3", "both"), default=None)
    parser.add_argument(
        "--baselines",
        nargs="+",
        choices=default.baselines,
        default=default.baselines,
        metavar="BASELINE",
        help=f"which of: {', '.join(default.baselines)} (all)",
    )
    parser.add_argument("--batch-size", type=int, default=None, help=f"photos per forward pass ({default.batch_size})")
    parser.add_argument(
        "--threads", type=int, default=default.threads, help="torch threads in every baseline (%(default)s)"
    )
    parser.add_argument("--drawn", action="store_true", help="draw the photos even where real ones exist")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    arguments = parser.parse_args()
    options = quick(default) if arguments.quick else default
    options = replace(
        options,
        images=arguments.images or options.images,
        runs=arguments.runs or options.runs,
        stub_runs=min(arguments.runs or options.runs, options.stub_runs),
        photos=("small", "large") if arguments.photos == "both" else (arguments.photos,),
        stores=options.stores
        if arguments.store is None
        else ("disk", "s3")
        if arguments.store == "both"
        else (arguments.store,),
        baselines=tuple(arguments.baselines),
        batch_size=arguments.batch_size or options.batch_size,
        threads=arguments.threads,
        drawn=arguments.drawn,
    )
    # A terminated bench also ends the server and the processes of baselines, and deletes its temporary folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = run_bench(options, lambda line: print(line, flush=True))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "pipeline.json").write_text(json.dumps(result, indent=1) + "\n")

    from benchmarks.plot import plot
    from benchmarks.report import markdown

    plot(result, arguments.out / "pipeline.png")
    (arguments.out / "pipeline.md").write_text(markdown(result))
    print(f"{arguments.out / 'pipeline.md'}")


if __name__ == "__main__":
    main()
