"""The terminal while days run: progress bars, and no log lines."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from shelf_assets.observe.progress import Progress
from shelf_assets.observe.terminal import watching


def test_tool_output_goes_to_the_log_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Console(file=io.StringIO(), width=120)
    with watching(terminal, tmp_path):
        work = Progress("raw_images 2026-03-01", 3, print)
        print("1 of 32 START sql incremental model")
        work.advance(3)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "raw_images 2026-03-01" in shown
    assert "3/3" in shown
    assert "START sql" not in shown
    assert (tmp_path / "logs" / "runs.log").read_text() == "1 of 32 START sql incremental model\n"
    print("afterwards")
    assert capsys.readouterr().out == "afterwards\n"


def test_only_warnings_of_loggers_reach_the_terminal(tmp_path: Path) -> None:
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    chatty = logging.getLogger("shelf_assets_tests.chatty")
    chatty.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    try:
        with watching(Console(file=io.StringIO()), tmp_path):
            chatty.info("a step began")
            chatty.warning("a photo could not be read")
        chatty.info("afterwards")
    finally:
        logging.getLogger().removeHandler(handler)
    assert logged.getvalue() == "a photo could not be read\nafterwards\n"


def test_failed_run_restores_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), watching(Console(file=io.StringIO()), tmp_path):
        raise RuntimeError("the day failed")
    print("still here")
    assert capsys.readouterr().out == "still here\n"
