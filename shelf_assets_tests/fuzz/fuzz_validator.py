"""The fuzzer's process: pass any bytes to the sanitizer and check `promises`. `make fuzz` runs it.

    python -m shelf_assets_tests.fuzz.fuzz_validator WORK -max_total_time=600

WORK is a folder for the seeds, the corpus and inputs that break a promise. Other arguments are libFuzzer's options; -merge=1
followed by two folders minimises a corpus.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shelf_assets.photos", "shelf_assets.vision", "PIL"]):
    from shelf_assets.photos.limits import Limits
    from shelf_assets.photos.moderation import adult_score  # noqa: F401 - imported here so that it is instrumented
    from shelf_assets_tests.fuzz.promises import sanitized
    from shelf_assets_tests.fuzz.seeds import seeds

# Larger photos take a second each and reach no further code.
LIMITS = Limits(max_pixels=300_000, max_side_px=8_192, max_frames=50)
OPTIONS = ("-max_len=16384", "-timeout=20", "-rss_limit_mb=3000", "-print_final_stats=1")


def one_input(data: bytes) -> None:
    sanitized(data, LIMITS)


def prepared(work: Path) -> list[str]:
    """Folders of corpus and seeds as arguments for libFuzzer, with the hostile corpus if SHELF_TEST_DATA has it."""
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
    # For a merge the caller names the folders.
    folders = [] if any(option.startswith("-merge") for option in options) else prepared(Path(work))
    artifacts = Path(work) / "broken"
    artifacts.mkdir(parents=True, exist_ok=True)
    # After each file that crashes a merge, libFuzzer runs this command again in a shell.
    command = f"{sys.executable} -m shelf_assets_tests.fuzz.fuzz_validator {work}"
    atheris.Setup([command, *OPTIONS, f"-artifact_prefix={artifacts}/", *options, *folders], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
