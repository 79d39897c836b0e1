"""A baseline's process, seen from the harness: start it, send it commands, measure it, end it with its descendants.

The process itself runs `worker`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.baselines import Baseline, BenchOptions
from benchmarks.meters import TreeWatch
from benchmarks.photos import REPO_ROOT
from benchmarks.place import Place

# Far longer than the slowest run: a baseline that hangs becomes a line on the page and does not stop the bench.
ANSWER_TIMEOUT_SECONDS = 600.0
_END_TIMEOUT_SECONDS = 20.0


class BaselineFailed(RuntimeError):
    """A baseline could not run a command, for this reason."""


class BaselineProcess:
    """The process of one baseline."""

    def __init__(self, baseline: Baseline, options: BenchOptions, log: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", baseline.name, json.dumps(asdict(options))]
        self.baseline, self.log = baseline, log
        # Passive: waiting threads sleep. Spinning threads would count as CPU time.
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=REPO_ROOT, env=environment
            )
        self._unread = b""
        self.about: dict[str, Any] = {}

    def await_start(self) -> None:
        """Wait until its models are loaded. Raises BaselineFailed."""
        self.about = self._receive()

    def ask(self, verb: str, place: Place, **more: Any) -> dict[str, Any]:
        """Send one command and wait for its answer. Raises BaselineFailed."""
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it has ended; `_receive` raises the reason
            self.process.stdin.write(json.dumps({"do": verb, "place": asdict(place)} | more).encode() + b"\n")
            self.process.stdin.flush()
        return self._receive()

    def run(self, place: Place, **more: Any) -> dict[str, Any]:
        """One run, with the peak memory of its processes; their CPU time is measured from outside if the baseline asks for it."""
        with TreeWatch(self.process.pid) as watch:
            metrics = self.ask("run", place, **more)
        if tree := metrics.pop("tree"):
            seen = watch.cpu_seconds_between(tree["began"], tree["before"], tree["after"])
            metrics["cpu_seconds"] = seen - tree["start_up_cpu_seconds"]
        return metrics | {"peak_memory_bytes": watch.peak_bytes}

    def close(self) -> None:
        """End the process and every descendant that is left."""
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
            assert self.process.stdin
            with suppress(BrokenPipeError):
                self.process.stdin.close()
            try:
                self.process.wait(timeout=_END_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
            for left in below:
                with suppress(psutil.NoSuchProcess):
                    left.kill()
        self.process.wait()

    def _receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._line())
        if "failed" in answer:
            raise BaselineFailed(answer["failed"])
        return answer

    def _line(self) -> bytes:
        assert self.process.stdout
        deadline = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BaselineFailed(f"no answer within {ANSWER_TIMEOUT_SECONDS:.0f} s")
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                raise BaselineFailed(f"its process ended early: {lines[-1] if lines else 'it printed nothing'}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line
