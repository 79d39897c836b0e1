"""Runs in separate processes, which can be killed at a named step. They are forked from a server that has imported
everything and has no threads. Faults are injected in the child only.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from multiprocessing.context import ForkServerContext
from typing import Any

from shelf_assets.settings import Settings

JOIN_SECONDS = 240


@dataclass(frozen=True)
class Fault:
    """Send `signal_number` to the process at the n-th matching call of `target` ("module:Class.function").

    A call matches if its table name or object key contains `about`.
    """

    target: str
    about: str = ""
    nth: int = 1
    after: bool = False
    signal_number: int = signal.SIGKILL

    def __str__(self) -> str:
        name = self.target.rsplit(".", 1)[-1].strip("_")
        return f"{'after' if self.after else 'before'} {name} {self.about} {self.nth}".replace("  ", " ")

    def arm(self) -> None:
        module_name, path = self.target.split(":")
        owner: Any = importlib.import_module(module_name)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        calls = 0

        def wrapper(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += self.about in _subject(arguments)
            mine = calls == self.nth and self.about in _subject(arguments)
            if mine and not self.after:
                os.kill(os.getpid(), self.signal_number)
            result = function(*arguments, **named)
            if mine and self.after:
                os.kill(os.getpid(), self.signal_number)
            return result

        return wrapper


def _subject(arguments: tuple[Any, ...]) -> str:
    spec = getattr(arguments[0], "spec", None)
    if spec is not None and hasattr(spec, "name"):
        return str(spec.name)
    return " ".join(each for each in arguments[1:] if isinstance(each, str))


class Runs:
    """Starts runs of days, each in a separate process."""

    def __init__(self) -> None:
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["shelf_assets_tests.stories.preload"])

    def run(self, settings: Settings, day: date, fault: Fault | None = None) -> int:
        """Run one day; returns the exit code: 0, 1 for a failed run, minus the signal that ended it."""
        return self.run_together(settings, [day], fault)[0]

    def run_together(self, settings: Settings, days: list[date], fault: Fault | None = None) -> list[int]:
        """Run the days at the same time, one process each."""
        start = self.context.Barrier(len(days))
        processes = [
            self.context.Process(target=_run_day, args=(settings, day, fault, start), name=f"run of {day}")
            for day in days
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(JOIN_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise TimeoutError(f"{process.name} did not end within {JOIN_SECONDS} s")
        return [process.exitcode or 0 for process in processes]


def _run_day(settings: Settings, day: date, fault: Fault | None, start: Any) -> None:
    from shelf_assets_tests.stories.support import Platform

    shop = Platform(settings)
    shop.defs.resolve_implicit_global_asset_job_def()
    start.wait(JOIN_SECONDS)
    if fault:
        fault.arm()
    shop.run(day)
