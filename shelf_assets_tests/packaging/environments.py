"""The wheel as a user installs it: built from a copy of the sources, put into empty environments with the pinned versions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shelf_assets_tests.conftest import repo_root

SOURCES = ("shelf_assets", "dbt_bi", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
UV = Path(sys.executable).with_name("uv")
# Messages of uv if no package index answers.
UNREACHABLE = ("error sending request", "Failed to fetch", "dns error", "network connectivity is disabled")


def build_wheel(folder: Path) -> Path:
    """A wheel of the current sources. Built from a copy, because setuptools reuses files of an earlier build/."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (repo_root / name).is_dir():
            shutil.copytree(repo_root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(repo_root / name, source / name)
    _uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, source)
    [wheel] = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment that contains only the wheel with some extras."""

    folder: Path

    @property
    def site_packages(self) -> Path:
        [found] = self.folder.glob("lib/python*/site-packages")
        return found

    @property
    def megabytes(self) -> int:
        files = (path.lstat() for path in self.folder.rglob("*"))
        return round(sum(stat.st_size for stat in files) / 1e6)

    def present(self, modules: Sequence[str]) -> list[str]:
        """The modules that can be found; none is imported."""
        code = "import sys; from importlib.util import find_spec; print(*filter(find_spec, sys.argv[1:]))"
        command = [self.folder / "bin" / "python", "-I", "-c", code, *modules]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def shelf(self, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `shelf` command of this environment, outside the checkout."""
        return subprocess.run(
            self.command(*arguments), cwd=home, env=environment(home), capture_output=True, text=True, timeout=600
        )

    def command(self, *arguments: str) -> list[str]:
        return [str(self.folder / "bin" / "shelf"), *arguments]


def environment(home: Path) -> dict[str, str]:
    """Variables for a process of the wheel, without PYTHONPATH, which would point to the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {"SHELF_HOME": str(home), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}


@contextmanager
def installed(wheel: Path, extras: str, folder: Path) -> Iterator[Environment]:
    """An environment with `shelf-assets[extras]` at the pinned versions. Skips if neither uv's cache nor an index has them."""
    _uv("venv", "--python", sys.executable, folder)
    requirement = f"shelf-assets[{extras}] @ {wheel.as_uri()}" if extras else f"shelf-assets @ {wheel.as_uri()}"
    pins = repo_root / "requirements" / "all.txt"
    install = ("pip", "install", "--python", folder / "bin" / "python", "--constraints", pins, requirement)
    try:
        # The cache first: it takes seconds and needs no network.
        if _run_uv(*install, "--offline").returncode:
            _uv(*install)
        yield Environment(folder)
    finally:
        shutil.rmtree(folder)  # gigabytes, which a failed run does not need


def _uv(*arguments: str | Path) -> None:
    done = _run_uv(*arguments)
    if done.returncode and any(word in done.stderr for word in UNREACHABLE):
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr[-3000:]


def _run_uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, *arguments, "--quiet"], capture_output=True, text=True, timeout=600, check=False)
