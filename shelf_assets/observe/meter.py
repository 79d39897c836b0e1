"""Measures the cost of a stage: wall seconds, CPU seconds and memory, as a row of `stage_runs`. Prices belong in the marts."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from shelf_assets.lake.schemas import STAGE_RUNS


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_memory_bytes() -> int:
    """Peak resident memory of this process so far: Linux counts it in KiB, macOS in bytes."""
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes


@dataclass
class Meter:
    """Adds up the time of one stage; `with meter.running():` may be entered many times.

    CPU time is measured for the whole process, since libraries compute on their own threads. `others_cpu_seconds` returns
    the CPU seconds of other stages so far; they are subtracted. A stage that `is_single_threaded` is measured by its thread
    alone, since a model that another stage has started may compute beside it.
    """

    stage: str
    model_id: str | None = None
    device: str = "cpu"
    images: int = 0
    bytes_read: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    others_cpu_seconds: Callable[[], float] = lambda: 0.0
    is_single_threaded: bool = False

    @contextmanager
    def running(self):
        wall, cpu = time.perf_counter(), self._own_cpu_seconds()
        try:
            yield self
        finally:
            self.wall_seconds += time.perf_counter() - wall
            # Another stage that ends its span meanwhile reports all of it, also the part from before this span began.
            self.cpu_seconds += max(0.0, self._own_cpu_seconds() - cpu)

    def _own_cpu_seconds(self) -> float:
        return time.thread_time() if self.is_single_threaded else _cpu_seconds() - self.others_cpu_seconds()

    @property
    def images_per_second(self) -> float:
        return self.images / self.wall_seconds if self.wall_seconds else 0.0

    def row(self, day: date, run_id: str) -> pl.DataFrame:
        """One row for `stage_runs`."""
        return pl.DataFrame(
            [
                {
                    "day": day,
                    "run_id": run_id,
                    "stage": self.stage,
                    "model_id": self.model_id,
                    "device": self.device,
                    "images": self.images,
                    "bytes_read": self.bytes_read,
                    "wall_seconds": self.wall_seconds,
                    "cpu_seconds": self.cpu_seconds,
                    "peak_memory_bytes": peak_memory_bytes(),
                    "finished_at": datetime.now(UTC),
                }
            ],
            schema=STAGE_RUNS.schema,
        )
