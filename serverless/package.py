"""Build the Lambda package: pinned wheels for Lambda's Python, and the modules of this project that the functions import.

Deployment is done with `sam deploy` and template.yaml.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIREMENTS = REPOSITORY / "serverless" / "requirements.txt"
ARCHIVE = "upload-api.zip"
# Lambda's runtimes from Python 3.12 on run on Amazon Linux 2023 with glibc 2.34. Python 3.11 runs on Amazon Linux 2 with
# glibc 2.26, for which NumPy has no wheels any more.
PYTHON, PLATFORM = "3.12", "x86_64-manylinux_2_28"
# Modules of the upload API. `settings.py` composes the settings of all rooms, so those are in the package as well.
MODULES = (
    *(
        "__init__.py",
        "machine.py",
        "registry.py",
        "urls.py",
        "settings.py",
        "*/__init__.py",
        "*/settings.py",
        "models/defaults.py",
    ),
    *("http/**/*.py", "intake/**/*.py", "lake/**/*.py", "photos/**/*.py", "vision/*.py"),
)
# Lambda's limits. A zip above the second one must be uploaded through a bucket, as `sam deploy` does anyway.
MAX_UNZIPPED_BYTES, MAX_DIRECT_ZIP_BYTES = 250 << 20, 50 << 20


class TooLarge(RuntimeError):
    """The package exceeds Lambda's limit."""


class NotFetched(RuntimeError):
    """uv could not install the wheels; the message is uv's."""


def build(folder: Path, uv: Path, python: str = PYTHON) -> tuple[int, int]:
    """Build `folder`/package and `folder`/upload-api.zip; returns their sizes in bytes. Raises NotFetched."""
    package = folder / "package"
    fill(package, uv, python)
    return sum(path.stat().st_size for path in _files(package)), _zip(package, folder / ARCHIVE)


def fill(package: Path, uv: Path, python: str = PYTHON) -> None:
    """Put the wheels and the modules of this project into the empty folder `package`. Raises NotFetched."""
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    fetched = subprocess.run(
        [
            *(uv, "pip", "install", "--quiet", "--target", package, "--python-version", python),
            *("--python-platform", PLATFORM, "--only-binary", ":all:", "--require-hashes", "-r", REQUIREMENTS),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    if fetched.returncode:
        raise NotFetched(fetched.stderr.strip())
    _copy_modules(package / "shelf_assets")


def require_fit(unzipped_bytes: int) -> None:
    """Raise TooLarge above Lambda's limit."""
    if unzipped_bytes > MAX_UNZIPPED_BYTES:
        raise TooLarge(
            f"the package has {unzipped_bytes:,} bytes, more than Lambda's {MAX_UNZIPPED_BYTES:,}: run `du -sm` in it to see "
            "what grew; serverless/requirements.in lists its packages"
        )


def _copy_modules(target: Path) -> None:
    source = REPOSITORY / "shelf_assets"
    for module in {found for pattern in MODULES for found in source.glob(pattern)}:
        place = target / module.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, place)
    # The app reads its version from this metadata.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    metadata = target.with_name(f"shelf_assets-{project['version']}.dist-info") / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")


def _zip(package: Path, archive: Path) -> int:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in _files(package):
            # A fixed date makes the archive reproducible, so that an unchanged package is not deployed again.
            entry = zipfile.ZipInfo(str(path.relative_to(package)), (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return archive.stat().st_size


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def main() -> None:
    """Build the package, print its sizes, and fail if Lambda would reject it. Raises NotFetched and TooLarge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=PYTHON, help="another Python version than that of template.yaml")
    options = parser.parse_args()
    folder = options.folder.resolve()
    unzipped_bytes, zipped_bytes = build(folder, Path(sys.executable).with_name("uv"), options.python)
    upload = "can be uploaded directly" if zipped_bytes <= MAX_DIRECT_ZIP_BYTES else "must be uploaded through a bucket"
    sys.stdout.write(
        f"{folder / ARCHIVE}: {zipped_bytes / 1e6:,.1f} MB, {upload}; "
        f"unzipped {unzipped_bytes / 1e6:,.1f} of {MAX_UNZIPPED_BYTES / 1e6:,.1f} MB\n"
    )
    require_fit(unzipped_bytes)


if __name__ == "__main__":
    main()
