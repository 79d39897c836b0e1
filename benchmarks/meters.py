"""Clocks and memory: CPU seconds of a process and its children, memory of its whole tree. No baseline belongs here."""

from __future__ import annotations

import os
import platform
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_SAMPLE_SECONDS = 0.2
_INTERESTING_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


def cpu_seconds() -> float:
    """User and system time of this process and of those children that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass
class Span:
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def timed(span: Span) -> Iterator[Span]:
    """Add what the block takes to `span`; may be entered many times."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    try:
        yield span
    finally:
        span.wall_seconds += time.perf_counter() - wall
        span.cpu_seconds += cpu_seconds() - cpu


# A worker may end between being listed and being read.
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError)


def tree_cpu_seconds() -> dict[str, float]:
    """User and system time of this process and of each living descendant, by process id."""
    found = {}
    for process in _tree(psutil.Process()):
        with suppress(*_GONE):
            found[str(process.pid)] = _own_cpu_seconds(process)
    return found


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _own_cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class TreeWatch:
    """Samples a process and its descendants from outside, five times a second: peak memory, CPU time of each.

    Memory is the sum of PSS, where a shared page counts once. CPU time is for processes whose parents do not count it.
    """

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.peak_bytes = 0
        self._last_seen: dict[str, tuple[float, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tree-watch", daemon=True)

    def __enter__(self) -> TreeWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def cpu_seconds_between(self, began: float, before: dict[str, float], after: dict[str, float]) -> float:
        """CPU seconds of the tree between two measurements of its own; a process that ended meanwhile counts as last sampled."""
        seen = {pid: spent for pid, (moment, spent) in self._last_seen.items() if moment >= began}
        return sum(max(0.0, spent - before.get(pid, 0.0)) for pid, spent in (seen | after).items())

    def _watch(self) -> None:
        while True:
            total, moment = 0, time.monotonic()
            with suppress(*_GONE):
                for process in _tree(self.process):
                    with suppress(*_GONE):
                        self._last_seen[str(process.pid)] = (moment, _own_cpu_seconds(process))
                        total += process.memory_full_info().pss
            self.peak_bytes = max(self.peak_bytes, total)
            if self._stop.wait(_SAMPLE_SECONDS):
                return


def reset_peak_rss() -> None:
    """Reset the kernel's count of this process's peak resident memory (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_rss_bytes() -> int:
    """Peak resident memory of this process since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def cpu_ms_per_item(work: Callable[[], Any], items: int, repeats: int = 3) -> float:
    """CPU milliseconds per item of `work`, which does all the items: the median of a few repeats."""
    spent = []
    for _ in range(repeats):
        span = Span()
        with timed(span):
            work()
        spent.append(span.cpu_seconds)
    return 1000 * sorted(spent)[len(spent) // 2] / items


def machine() -> dict[str, object]:
    """The machine that the results belong to."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return {
        "cpu": fields.get("model name", platform.processor()),
        "cpu_family_model": f"{fields.get('cpu family', '?')}/{fields.get('model', '?')}",
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "flags": {flag: flag in flags for flag in _INTERESTING_FLAGS},
        "load_average_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
