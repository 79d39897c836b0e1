"""The command of a bench that takes turns: options in, a page and its figures out. What is measured belongs in the bench."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.photos import REPO_ROOT

Say = Callable[[str], None]


def command(
    module: str,
    about: str | None,
    name: str,
    run: Callable[[int, Say], dict[str, Any]],
    page: Callable[[dict[str, Any]], str],
) -> None:
    """Parse `--turns` and `--out`, run, and write `<name>.json` and `<name>.md`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--turns", type=int, default=5, help="turns, of which medians are told (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    asked = parser.parse_args()
    # Ended from outside, the server and the temporary folder go as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = run(asked.turns, lambda line: print(line, flush=True))
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (asked.out / f"{name}.md").write_text(page(result))
    print(asked.out / f"{name}.md")
