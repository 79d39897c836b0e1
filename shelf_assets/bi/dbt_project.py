"""The dbt project of the marts on this machine: where it is, its manifest, and the environment of its process.

Models, tests and descriptions are in dbt_bi/; running dbt as assets is in `defs`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import shelf_assets
from shelf_assets.bi.settings import BiSettings
from shelf_assets.lake.settings import AWS_VARIABLES, LakeSettings
from shelf_assets.pipeline.prices import eur_per_hour


@dataclass(frozen=True)
class DbtProjectHere:
    """dbt_bi over one lake, with dbt's state below `home`.

    `prices` are the settings' hourly prices of stages; other stages have the price that they declare.
    """

    home: Path
    lake: LakeSettings
    settings: BiSettings
    prices: Mapping[str, float]
    folder: Path = field(default_factory=lambda: dbt_project_dir())
    executable: str = field(default_factory=lambda: dbt_executable())

    @property
    def target_path(self) -> Path:
        """dbt's artifacts; every run gets a folder of its own in it."""
        return self.home / "dbt" / "target"

    def environment(self) -> dict[str, str]:
        """The environment of a dbt process: this process's, with the URLs of lake and marts, and without telemetry."""
        return {
            **{name: value for name, value in os.environ.items() if name not in AWS_VARIABLES},
            **self.lake.aws_environment(),
            "SHELF_LAKE_URL": self.lake.url,
            "SHELF_BI_MARTS_PATH": str(self.settings.marts_path),
            "DBT_PROFILES_DIR": str(self.folder),
            "DBT_TARGET_PATH": str(self.target_path),
            "DBT_LOG_PATH": str(self.home / "dbt" / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }

    @property
    def variables(self) -> str:
        """dbt's --vars as JSON, equal for the parse and every run: a changed text makes dbt parse the project again,
        which takes 5 CPU-s. The days of a run are passed in its environment."""
        return json.dumps({"low_confidence": self.settings.low_confidence, "eur_per_hour": eur_per_hour(self.prices)})

    def manifest_path(self) -> Path:
        """The manifest of dbt_bi, made by `dbt parse` unless it exists for the project's current state."""
        made_of, inputs = self.target_path / "made_of.sha256", self.manifest_inputs()
        if not _holds(made_of, inputs):
            with _one_at_a_time(self.target_path):
                if not _holds(made_of, inputs):
                    # Removed first, written last, so that a killed parse does not leave a manifest that looks complete.
                    made_of.unlink(missing_ok=True)
                    self._parse()
                    made_of.write_text(inputs)
        return self.target_path / "manifest.json"

    def manifest_inputs(self) -> str:
        """Digest of the inputs of the manifest: the project's files, dbt's version, and the name of the marts' database.

        File times are not part of it: a checkout changes all of them, and they do not show a deletion.
        """
        marts = self.settings.marts_path.stem
        digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')} {marts}".encode())
        for path in sorted(manifest_files(self.folder)):
            content = path.read_bytes()
            digest.update(f"\n{path.relative_to(self.folder)} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def _parse(self) -> None:
        parsed = subprocess.run(
            [self.executable, "--quiet", "parse", "--project-dir", str(self.folder), "--vars", self.variables],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if parsed.returncode:
            raise RuntimeError(f"dbt parse of {self.folder} failed:\n{parsed.stdout}{parsed.stderr}")


def dbt_project_dir() -> Path:
    """The folder of dbt_bi: inside the package in a wheel, beside it in a checkout; it may be read-only.

    Raises FileNotFoundError where an installation lacks it.
    """
    package = Path(shelf_assets.__file__).resolve().parent
    for folder in (package / "dbt_bi", package.parent / "dbt_bi"):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise FileNotFoundError(f"dbt_bi is neither in {package} nor beside it: install shelf-assets again")


def dbt_executable() -> str:
    """dbt beside this interpreter, because a code server is often started without an activated environment."""
    return str(Path(sys.executable).parent / "dbt")


def manifest_files(folder: Path) -> list[Path]:
    """The files that decide the manifest."""
    endings = {".sql", ".yml", ".csv"}
    return [p for p in folder.rglob("*") if p.suffix in endings and "target" not in p.relative_to(folder).parts]


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """A lock: the UI and the daemon start together and both load the graph; one parses, the other uses the result."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
