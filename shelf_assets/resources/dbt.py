"""dbt as a resource: the project, its manifest, and the environment that dbt's process gets. Models live in dbt_bi/."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dagster_dbt import DbtCliResource

from shelf_assets.settings import Settings

PROJECT_DIR = Path(__file__).resolve().parents[2] / "dbt_bi"


def dbt_executable() -> str:
    """dbt beside this interpreter: a code server is often started without an activated environment."""
    return str(Path(sys.executable).parent / "dbt")


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What dbt's process is told: where the lake and the marts are, and to keep its hands off the network."""
    return {
        "SHELF_LAKE": settings.lake_url,
        "SHELF_MARTS": str(settings.marts_path),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(settings.home / "dbt" / "target"),
        "DBT_LOG_PATH": str(settings.home / "dbt" / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def export_dbt_environment(settings: Settings) -> None:
    """dbt reads these from the process that runs it; dagster-dbt passes our environment on to it."""
    os.environ.update(dbt_environment(settings))
    settings.home.mkdir(parents=True, exist_ok=True)


def manifest_path(settings: Settings) -> Path:
    """The manifest of dbt_bi, made by `dbt parse` when it is missing or older than the project's files."""
    manifest = settings.home / "dbt" / "target" / "manifest.json"
    newest = max(path.stat().st_mtime for path in project_files())
    if not manifest.exists() or manifest.stat().st_mtime < newest:
        _parse(settings)
    return manifest


def project_files() -> list[Path]:
    endings = {".sql", ".yml", ".csv"}
    return [
        p for p in PROJECT_DIR.rglob("*") if p.suffix in endings and "target" not in p.relative_to(PROJECT_DIR).parts
    ]


def _parse(settings: Settings) -> None:
    environment: Mapping[str, str] = os.environ | dbt_environment(settings)
    parsed = subprocess.run(
        [dbt_executable(), "--quiet", "parse", "--project-dir", str(PROJECT_DIR)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if parsed.returncode:
        raise RuntimeError(f"dbt parse of {PROJECT_DIR} failed:\n{parsed.stdout}{parsed.stderr}")


def build_dbt_resource(settings: Settings) -> DbtCliResource:
    export_dbt_environment(settings)
    return DbtCliResource(project_dir=str(PROJECT_DIR), profiles_dir=str(PROJECT_DIR), dbt_executable=dbt_executable())
