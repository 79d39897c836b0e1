"""Runs the `shelf` command: in this process with settings passed as values, or as a process with an environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from shelf_assets.settings import Settings
from shelf_assets_tests.conftest import repo_root

# Wide enough that no table cell is folded: tests search for whole cells.
WIDTH = 240


def shelf(*words: str, settings: Settings | Callable[[], Settings], width: int = WIDTH) -> Result:
    """Run `shelf WORDS` in this process with these settings, or with a function that reads them."""
    from shelf_assets.cli import console
    from shelf_assets.cli.app import app

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "command_settings", settings if callable(settings) else lambda: settings)
        for each in (console.out, console.err):
            patch.setattr(each, "width", width)
        return CliRunner().invoke(app, list(words))


def shelf_process(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `shelf WORDS` as a process, with these variables in addition to the environment of the tests."""
    command = [sys.executable, "-m", "shelf_assets.cli.app", *words]
    environment = os.environ | {"COLUMNS": str(WIDTH)} | variables
    return subprocess.run(
        command, cwd=repo_root, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def printed(result: Result) -> str:
    """The output, with line breaks removed."""
    return " ".join(result.output.split())
