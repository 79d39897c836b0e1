"""Progress bars of runs on a terminal: listens to what stages report, draws one bar per stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from shelf_assets.observe.progress import listening


@contextmanager
def progress_bars(console: Console) -> Iterator[None]:
    """Draw a bar for every stage and day that reports work while the block runs."""
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        running: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if done == 0 and total:
                running[stage] = bars.add_task(stage, total=total)
            elif total:
                bars.update(running[stage], completed=done)
                if done == total:
                    bars.stop_task(running[stage])

        with listening(report):
            yield
