"""Wall and CPU seconds of each stage of a pass, summed over all threads. `observe.meter` turns them into costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class StageTime:
    """Sums over calls. `wall_seconds` of concurrent threads add up, so they may exceed the elapsed time."""

    calls: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


class StageTimer:
    """Sums the time of each stage; thread-safe."""

    def __init__(self) -> None:
        self.stages: dict[str, StageTime] = {}
        self._lock = threading.Lock()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time the block on the calling thread; threads that a library starts are not measured."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self._add(stage, time.perf_counter() - wall, time.thread_time() - cpu)

    def metrics(self) -> dict[str, float]:
        """`<stage>_wall_seconds` and `<stage>_cpu_seconds` of every stage, for metadata."""
        return {
            f"{name}_{kind}_seconds": round(getattr(spent, f"{kind}_seconds"), 3)
            for name, spent in sorted(self.stages.items())
            for kind in ("wall", "cpu")
        }

    def cpu_seconds(self) -> float:
        """CPU seconds of all stages so far."""
        with self._lock:
            return sum(spent.cpu_seconds for spent in self.stages.values())

    def _add(self, stage: str, wall_seconds: float, cpu_seconds: float) -> None:
        with self._lock:
            spent = self.stages.setdefault(stage, StageTime())
            spent.calls += 1
            spent.wall_seconds += wall_seconds
            spent.cpu_seconds += cpu_seconds
