"""dbt as a resource: the project, its manifest, and what dbt's process is told. Models live in dbt_bi/."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from shelf_assets.defs.resources.dbt_command import DbtCommand
from shelf_assets.settings import Settings

PROJECT_DIR = Path(__file__).resolve().parents[3] / "dbt_bi"


def dbt_executable() -> str:
    """dbt beside this interpreter: a code server is often started without an activated environment."""
    return str(Path(sys.executable).parent / "dbt")


def target_path(settings: Settings) -> Path:
    """Where dbt keeps what it made of the project; dagster-dbt gives every run a folder of its own in it."""
    return settings.home / "dbt" / "target"


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What dbt's process is told: where the lake and the marts are, and to keep its hands off the network."""
    return {
        "SHELF_LAKE_URL": settings.lake.url,
        "SHELF_BI_MARTS_PATH": str(settings.bi.marts_path),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(target_path(settings)),
        "DBT_LOG_PATH": str(settings.home / "dbt" / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def export_dbt_environment(settings: Settings) -> None:
    """dbt reads these from the process that runs it; dagster-dbt passes our environment on to it."""
    os.environ.update(dbt_environment(settings))
    settings.home.mkdir(parents=True, exist_ok=True)


def export_days(first_day: str, last_day: str) -> None:
    """The days of the dbt call that comes next, both included. Not by --vars: dbt parses the whole project again, for 5 s of
    CPU, whenever those differ from the last parse."""
    os.environ.update(DBT_FIRST_DAY=first_day, DBT_LAST_DAY=last_day)


def dbt_vars(settings: Settings) -> str:
    """dbt's --vars, the same for the parse and for every run."""
    return json.dumps({"low_confidence": settings.bi.low_confidence, "eur_per_hour": settings.pipeline.eur_per_hour})


def manifest_path(settings: Settings) -> Path:
    """The manifest of dbt_bi, made by `dbt parse` unless it was made of the project as it is now."""
    target = target_path(settings)
    made_of, inputs = target / "made_of.sha256", manifest_inputs(settings)
    if not _holds(made_of, inputs):
        with _one_at_a_time(target):
            if not _holds(made_of, inputs):
                # First gone, then back: a parse that is killed leaves no manifest that looks finished.
                made_of.unlink(missing_ok=True)
                _parse(settings)
                made_of.write_text(inputs)
    return target / "manifest.json"


def manifest_inputs(settings: Settings) -> str:
    """Digest of all that decides the manifest: the project's files, dbt, and the name of the marts' database. Not their
    times: a checkout renews them all, and a deleted model leaves none behind."""
    digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')} {settings.bi.marts_path.stem}".encode())
    for path in sorted(project_files()):
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(PROJECT_DIR)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def project_files() -> list[Path]:
    endings = {".sql", ".yml", ".csv"}
    return [
        p for p in PROJECT_DIR.rglob("*") if p.suffix in endings and "target" not in p.relative_to(PROJECT_DIR).parts
    ]


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """The UI and the daemon start together and both load the graph: one parses, the other finds it done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parse(settings: Settings) -> None:
    environment: Mapping[str, str] = os.environ | dbt_environment(settings)
    parsed = subprocess.run(
        [dbt_executable(), "--quiet", "parse", "--project-dir", str(PROJECT_DIR), "--vars", dbt_vars(settings)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if parsed.returncode:
        raise RuntimeError(f"dbt parse of {PROJECT_DIR} failed:\n{parsed.stdout}{parsed.stderr}")


def build_dbt_resource(settings: Settings) -> DbtCommand:
    export_dbt_environment(settings)
    return DbtCommand(project_dir=str(PROJECT_DIR), profiles_dir=str(PROJECT_DIR), dbt_executable=dbt_executable())
