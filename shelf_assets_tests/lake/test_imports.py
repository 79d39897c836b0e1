"""Imports of the lake: dbt's process and notebooks use it, so it must not import Dagster or torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_lake_imports_neither_dagster_nor_torch() -> None:
    code = "import shelf_assets.lake.lake, sys; print(*{'dagster', 'torch', 'mlflow'} & set(sys.modules))"
    imported = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert imported.stdout.split() == []
