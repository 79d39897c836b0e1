"""Runs dbt as Dagster does: as a process, with its state outside the project. No test here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt_bi"
PRICES = {"raw_images": 0.1, "image_tensors": 0.1, "classifications": 0.36, "clip_embeddings": 0.5}
LOW_CONFIDENCE = 0.35


@dataclass(frozen=True)
class DbtRunner:
    state: Path
    lake_url: str
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def marts_path(self) -> Path:
        return self.state / "marts.duckdb"

    def build(self, first_day: date, last_day: date) -> subprocess.CompletedProcess[str]:
        days = {"DBT_FIRST_DAY": str(first_day), "DBT_LAST_DAY": str(last_day)}
        return self.run("build", environ=days)

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        settings = {"low_confidence": LOW_CONFIDENCE, "eur_per_hour": PRICES}
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("dbt")),
                "--no-use-colors",
                *arguments,
                "--vars",
                json.dumps(settings),
            ],
            cwd=DBT_PROJECT,
            env={
                **os.environ,
                "DBT_PROFILES_DIR": str(DBT_PROJECT),
                "DBT_TARGET_PATH": str(self.state / "target"),
                "DBT_LOG_PATH": str(self.state / "logs"),
                "SHELF_BI_MARTS_PATH": str(self.marts_path),
                "SHELF_LAKE_URL": self.lake_url,
                **self.environ,
                **(environ or {}),
            },
            capture_output=True,
            text=True,
            timeout=280,
        )

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.state / "target" / "manifest.json").read_text())

    def marts(self) -> dict[str, pl.DataFrame]:
        """Every relation of the marts file, read without DuckDB extensions."""
        with duckdb.connect(self.marts_path, read_only=True) as connection:
            connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
            names = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
            return {name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").pl() for name in names}


def succeeded(process: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-2000:]
    return process
