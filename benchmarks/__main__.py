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
        description="This pipeline beside the plain way of the field, its rivals and its own models alone, on the same photos.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few photos, one run, on disk: shows that all baselines work"
    )
    parser.add_argument("--images", type=int, default=None, help=f"small photos a run; large: half ({default.images})")
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
    parser.add_argument("--batch-size", type=int, default=None, help=f"photos a forward pass ({default.batch_size})")
    parser.add_argument("--threads", type=int, default=default.threads, help="torch's, in every way (%(default)s)")
    parser.add_argument("--drawn", action="store_true", help="draw the photos also where real ones are")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    asked = parser.parse_args()
    options = quick(default) if asked.quick else default
    options = replace(
        options,
        images=asked.images or options.images,
        runs=asked.runs or options.runs,
        stub_runs=min(asked.runs or options.runs, options.stub_runs),
        photos=("small", "large") if asked.photos == "both" else (asked.photos,),
        stores=options.stores if asked.store is None else ("disk", "s3") if asked.store == "both" else (asked.store,),
        baselines=tuple(asked.baselines),
        batch_size=asked.batch_size or options.batch_size,
        threads=asked.threads,
        drawn=asked.drawn,
    )
    # Ended from outside, the server, the baselines' processes and the temporary folder go as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = run_bench(options, lambda line: print(line, flush=True))
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "pipeline.json").write_text(json.dumps(result, indent=1) + "\n")

    from benchmarks.plot import plot
    from benchmarks.report import markdown

    plot(result, asked.out / "pipeline.png")
    (asked.out / "pipeline.md").write_text(markdown(result))
    print(f"{asked.out / 'pipeline.md'}")


if __name__ == "__main__":
    main()
