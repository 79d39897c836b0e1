"""One way in a process of its own: loads its models once, then runs whatever a line on standard input asks for.

A process a way, kept for the whole bench, because importing torch costs more than a run. The plain way's process also
runs its models alone. Answers are lines of JSON on the standard output that the process was started with; what
libraries print goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from shelf_assets_tests.bench.meters import Span, cpu_seconds, peak_rss_bytes, reset_peak_rss, timed
from shelf_assets_tests.bench.place import Place
from shelf_assets_tests.bench.ways import GEOMETRY, Outcome, load_models

PROCESSES = ("pipeline", "plain", "models")


class Worker:
    def __init__(self, way: str, batch_size: int, threads: int, loader_workers: int, precision: str) -> None:
        import numpy as np
        import torch

        torch.set_num_threads(threads)
        self.way, self.loader_workers = way, loader_workers
        self.models = load_models(batch_size, "fp32" if way == "plain" else precision)
        self.plain: Any = None
        if way == "plain":
            from shelf_assets_tests.bench.plain_way import PlainModels

            self.plain = PlainModels(self.models)
        self._tensors: dict[str, Any] = {}
        self._warm_up(np.zeros((batch_size, 3, GEOMETRY.size_px, GEOMETRY.size_px), np.uint8))

    def about(self) -> dict[str, Any]:
        import torch
        import torchvision

        return {
            "precision": self.models.precision,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "models": [self.models.classifier.spec.model_id, self.models.embedder.spec.model_id],
        }

    def run(self, place: Place, way: str, results: str) -> dict[str, Any]:
        work = self._work(place, way)
        reset_peak_rss()
        outcome = work()
        figures = outcome.figures() | {"peak_rss_bytes": peak_rss_bytes()}
        if outcome.keys:
            import numpy as np

            np.savez(
                results, keys=outcome.keys, labels=outcome.labels, scores=outcome.scores, embeddings=outcome.embeddings
            )
        return figures

    def parts(self, place: Place) -> dict[str, float]:
        from shelf_assets_tests.bench import parts

        return parts.of_plain(place, self.plain) if self.way == "plain" else parts.of_pipeline(place, self.models)

    def floor(self, place: Place) -> dict[str, Any]:
        from shelf_assets.vision.models.device import to_dtype
        from shelf_assets_tests.bench import models_way

        return {
            "peak_gflops_per_core": models_way.peak_gflops(to_dtype(self.models.classifier.spec)),
            "gflop_per_image": models_way.GFLOP_PER_IMAGE,
            "forward_cpu_ms_by_layout": models_way.layouts(self._ready(place), self.models),
        }

    def _work(self, place: Place, way: str) -> Callable[[], Outcome]:
        if way == "pipeline":
            from shelf_assets_tests.bench import pipeline_way

            return lambda: pipeline_way.run(place, self.models)
        if way == "plain":
            from shelf_assets_tests.bench import plain_way

            return lambda: plain_way.run(place, self.plain, self.loader_workers)
        from shelf_assets_tests.bench import models_way

        tensors = self._ready(place)
        if way == "models":
            return lambda: models_way.run_uint8(tensors, self.models)
        return lambda: models_way.run_eager(tensors, self.plain)

    def _ready(self, place: Place) -> Any:
        """The photos of a place as one array of tensors, made once."""
        import numpy as np

        from shelf_assets.vision.preprocess import to_tensor

        if place.photos_url not in self._tensors:
            objects = place.photos().objects
            keys = sorted(stored.key for stored in objects.list(place.prefix))
            self._tensors = {place.photos_url: np.stack([to_tensor(objects.get(key), GEOMETRY) for key in keys])}
        return self._tensors[place.photos_url]

    def _warm_up(self, batch: Any) -> None:
        from shelf_assets_tests.bench import models_way

        if self.plain is None:
            models_way.run_uint8(batch, self.models)
        else:
            models_way.run_eager(batch, self.plain)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("way", choices=PROCESSES)
    options.add_argument("--batch-size", type=int, required=True)
    options.add_argument("--threads", type=int, required=True)
    options.add_argument("--loader-workers", type=int, required=True)
    options.add_argument("--precision", required=True)
    asked = options.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    start = Span()
    before = cpu_seconds()
    with timed(start):
        worker = Worker(asked.way, asked.batch_size, asked.threads, asked.loader_workers, asked.precision)
    # What Python spent before this line counts as start-up too.
    startup = {"wall_seconds": start.wall_seconds, "cpu_seconds": start.cpu_seconds + before}
    _answer(answers, worker.about() | {"startup": startup})
    for line in sys.stdin:
        command = json.loads(line)
        place = Place(**command["place"])
        if command["do"] == "run":
            _answer(answers, worker.run(place, command["way"], command["results"]))
        elif command["do"] == "parts":
            _answer(answers, worker.parts(place))
        else:
            _answer(answers, worker.floor(place))


def _answer(answers: Any, said: dict[str, Any]) -> None:
    answers.write(json.dumps(said, default=float) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
