"""Builds the function's package: pinned wheels for Lambda's Python, and the modules of ours that it imports. Deploys nothing."""

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
# Amazon Linux 2023, below the runtimes from Python 3.12 on, has glibc 2.34; 3.11 has Amazon Linux 2's 2.26, for which
# NumPy makes no wheels any more.
PYTHON, PLATFORM = "3.12", "x86_64-manylinux_2_28"
# Of ours: the upload API and what it needs, and the settings of every room, which `settings.py` composes. Folders come first:
# they are copied whole.
MODULES = (
    "http",
    "intake",
    "lake",
    "photos",
    "__init__.py",
    "machine.py",
    "settings.py",
    "*/__init__.py",
    "*/settings.py",
    "vision/*.py",
)
# What AWS takes: above the second a package goes by way of a bucket, as `sam deploy` does anyway.
MAX_UNZIPPED_BYTES, MAX_DIRECT_ZIP_BYTES = 250 << 20, 50 << 20


class TooLarge(RuntimeError):
    """Lambda would refuse the package."""


class NotFetched(RuntimeError):
    """uv could not put the wheels there; the message is uv's."""


def build(folder: Path, uv: Path, python: str = PYTHON) -> tuple[int, int]:
    """Make `folder`/package and `folder`/door.zip anew; their sizes, in bytes. Raises NotFetched."""
    package, archive = folder / "package", folder / "door.zip"
    fill(package, uv, python)
    return sum(path.stat().st_size for path in _files(package)), _zip(package, archive)


def fill(package: Path, uv: Path, python: str = PYTHON) -> None:
    """Make the folder `package` anew: the wheels and our modules. Raises NotFetched."""
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
            f"the package has {unzipped_bytes:,} bytes, Lambda takes {MAX_UNZIPPED_BYTES:,}: `du -sm` in it shows what grew; "
            "serverless/requirements.in says what goes in"
        )


def _copy_modules(target: Path) -> None:
    source = REPOSITORY / "shelf_assets"
    for pattern in MODULES:
        for found in source.glob(pattern):
            place = target / found.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(found, place)
    # By which the app knows its own version.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    about = target.with_name(f"shelf_assets-{project['version']}.dist-info")
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")


def _zip(package: Path, archive: Path) -> int:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in _files(package):
            # One date for all: the same package gives the same archive, and nothing is deployed that has not changed.
            entry = zipfile.ZipInfo(str(path.relative_to(package)), (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return archive.stat().st_size


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def main() -> None:
    """Build, tell the sizes, and fail where Lambda would. Raises NotFetched and TooLarge."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--python", default=PYTHON, help="for another Python than the template's runtime")
    told = arguments.parse_args()
    folder = told.folder.resolve()
    unzipped_bytes, zipped_bytes = build(folder, Path(sys.executable).with_name("uv"), told.python)
    way = "may be uploaded as it is" if zipped_bytes <= MAX_DIRECT_ZIP_BYTES else "goes by way of a bucket"
    sys.stdout.write(
        f"{folder / 'door.zip'}: {zipped_bytes / 1e6:,.1f} MB, {way}; "
        f"unzipped {unzipped_bytes / 1e6:,.1f} of {MAX_UNZIPPED_BYTES / 1e6:,.1f} MB\n"
    )
    require_fit(unzipped_bytes)


if __name__ == "__main__":
    main()
