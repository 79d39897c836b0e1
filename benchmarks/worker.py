"""The process of one baseline: loads its models once, then runs the commands that arrive on standard input.

One process per baseline serves the whole bench, because importing torch costs more than a run. Commands and answers are lines
of JSON; standard output carries answers only, and what libraries print goes to standard error. A failure is answered with its
reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from typing import Any

from benchmarks.baselines import BY_NAME, GEOMETRY, BaselineUnavailable, BenchOptions, Outcome, Running, start
from benchmarks.meters import Span, cpu_seconds, peak_rss_bytes, reset_peak_rss, timed
from benchmarks.place import Place


class Worker:
    """The commands of the harness."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._tensors: dict[tuple[str, int], Any] = {}

    def run(self, place: Place, results: str | None = None, stub: bool = False) -> dict[str, Any]:
        reset_peak_rss()
        outcome = self.running.run(place, stub)
        if results:
            import numpy as np

            np.savez(
                results, keys=outcome.keys, labels=outcome.labels, scores=outcome.scores, embeddings=outcome.embeddings
            )
        return outcome.metrics() | {"peak_rss_bytes": peak_rss_bytes()}

    def models_alone(self, place: Place, photos: int) -> dict[str, Any]:
        outcome: Outcome | None = self.running.models_alone(self._ready(place, photos))
        return outcome.metrics() if outcome else {}

    def parts(self, place: Place) -> dict[str, float]:
        parts: dict[str, float] = self.running.parts(place)  # type: ignore[attr-defined]
        return parts

    def fidelity(self, place: Place, photos: int) -> dict[str, float]:
        from benchmarks import floors

        return floors.fidelity(place, photos)

    def peaks(self, place: Place, precisions: list[str]) -> dict[str, float]:
        from benchmarks import floors

        return {precision: floors.peak_gflops(precision) for precision in precisions}

    def _ready(self, place: Place, photos: int) -> Any:
        """The first photos of a place as one array of tensors, cached."""
        import numpy as np

        from shelf_assets.vision.preprocess import to_tensor

        asked = (place.photos_url, photos)
        if asked not in self._tensors:
            objects = place.photos().objects
            keys = sorted(stored.key for stored in objects.list(place.prefix))[:photos]
            self._tensors = {asked: np.stack([to_tensor(objects.get(key), GEOMETRY) for key in keys])}
        return self._tensors[asked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline", choices=BY_NAME)
    parser.add_argument("options", type=json.loads, help="BenchOptions as JSON")
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    opened = Span()
    before = cpu_seconds()
    try:
        with timed(opened):
            running = _start(arguments.baseline, BenchOptions(**arguments.options))
    except Exception as error:  # noqa: BLE001 - any exception of a library is the reason on the page
        _answer(answers, _failure(error))
        return
    # CPU time before this line is start-up too.
    start_up = {"wall_seconds": opened.wall_seconds, "cpu_seconds": opened.cpu_seconds + before}
    try:
        _answer(answers, running.about() | {"start_up": start_up})
        worker = Worker(running)
        for line in sys.stdin:
            command = json.loads(line)
            verb, place = command.pop("do"), Place(**command.pop("place"))
            try:
                _answer(answers, getattr(worker, verb)(place, **command))
            except Exception as error:  # noqa: BLE001 - as above
                _answer(answers, _failure(error))
    finally:
        running.close()


def _start(name: str, options: BenchOptions) -> Running:
    baseline = BY_NAME[name]
    if baseline.backend == "torch":
        import torch

        torch.set_num_threads(options.threads)
    return start(baseline, options)


def _failure(error: Exception) -> dict[str, str]:
    if not isinstance(error, BaselineUnavailable):
        traceback.print_exc()
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return {"failed": lines[0] if isinstance(error, BaselineUnavailable) else f"{type(error).__name__}: {lines[0]}"}


def _answer(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer, default=float) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
