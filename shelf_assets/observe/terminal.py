"""Shows runs in a terminal: one progress bar per stage and day. What tools print meanwhile goes to a log file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from shelf_assets.observe.progress import listening


@contextmanager
def watching(console: Console, home: Path) -> Iterator[None]:
    """Draw a bar for each reported piece of work while the block runs; stdout of the block goes to `home`/logs/runs.log."""
    # Bound to the present stdout: inside the block, stdout is the log file.
    terminal = Console(file=console.file, width=console.width)
    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    log = home / "logs" / "runs.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a") as file,
        Progress(*columns, console=terminal, redirect_stdout=False) as bars,
        redirect_stdout(file),
        _warnings_only(),
    ):
        running: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if done == 0 and total:
                running[what] = bars.add_task(what, total=total)
            elif total:
                bars.update(running[what], completed=done)
                if done == total:
                    bars.stop_task(running[what])

        with listening(report):
            yield


@contextmanager
def _warnings_only() -> Iterator[None]:
    """Set handlers to WARNING: loggers with a level of their own, such as Dagster's and MLflow's, ignore the root's level."""
    handlers = [*logging.getLogger().handlers, *logging.getLogger("mlflow").handlers]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
