"""The fuzzer's process: any bytes through the validator and the rebuild, as `promises` wants them. `make fuzz` calls it.

    python -m shelf_assets_tests.fuzz.fuzz_validator WORK -max_total_time=600

WORK is a folder for the seeds, the corpus and what breaks a promise; further words are libFuzzer's own options, and
-merge=1 with two folders behind it makes a corpus small.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shelf_assets.intake", "shelf_assets.vision", "PIL"]):
    from shelf_assets.photos.limits import Limits
    from shelf_assets.photos.moderation import adult_score  # noqa: F401 - all of the door's modules are instrumented
    from shelf_assets_tests.fuzz.promises import sanitized
    from shelf_assets_tests.fuzz.seeds import seeds

# A photo of more would teach the fuzzer nothing, and cost it a second.
LIMITS = Limits(max_pixels=300_000, max_side_px=8_192, max_frames=50)
OPTIONS = ("-max_len=16384", "-timeout=20", "-rss_limit_mb=3000", "-print_final_stats=1")


def one_input(data: bytes) -> None:
    sanitized(data, LIMITS)


def prepared(work: Path) -> list[str]:
    """Folders of the corpus and the seeds, as libFuzzer's arguments; the shared photos of hostile files where they are."""
    corpus, drawn = work / "corpus", work / "seeds"
    for folder in (corpus, drawn):
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (drawn / name).write_bytes(data)
    shared = os.environ.get("SHELF_TEST_DATA")
    hostile = [str(path) for path in sorted((Path(shared) / "hostile").iterdir()) if path.is_dir()] if shared else []
    return [str(corpus), str(drawn), *hostile]


def main() -> None:
    work, *options = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    # Where it is a merge, its folders are named by who asks for it.
    folders = [] if any(option.startswith("-merge") for option in options) else prepared(Path(work))
    artifacts = Path(work) / "broken"
    artifacts.mkdir(parents=True, exist_ok=True)
    # A merge calls this command again, by a shell, after each file that ends its process.
    command = f"{sys.executable} -m shelf_assets_tests.fuzz.fuzz_validator {work}"
    atheris.Setup([command, *OPTIONS, f"-artifact_prefix={artifacts}/", *options, *folders], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
