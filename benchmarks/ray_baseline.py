"""A rival: Ray Data on this machine, photos through tasks and both models in an actor.

As Ray's pages "Working with Images" and "End-to-end: Offline Batch Inference" show it: read the files, map a decode over them,
`map_batches` with a class that holds the models, the weights put into the object store once; `write_delta` ends it. Its
`read_images` ignores EXIF and keeps whole photos in the object store, so files are read as bytes and decoded by torchvision
in the map. It listens on this machine only and reports no usage. It validates no photos, finds no duplicates and keeps
no tensors.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import numpy as np

from benchmarks.baselines import Baseline, BaselineUnavailable, BenchOptions, Outcome, load_weights
from benchmarks.meters import Span, cpu_seconds, timed, tree_cpu_seconds
from benchmarks.photos import REPO_ROOT
from benchmarks.place import DAY, Place
from benchmarks.plain_baseline import list_keys

STAGES = ("photos and models", "writing tables")
OBJECT_STORE_BYTES = 1 << 30
# Read when Ray is imported, and by every process it starts. The last one has Ray use 127.0.0.1 as the address of this node
# on Linux too, where it would else listen on all interfaces.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "PYTHONPATH": str(REPO_ROOT),
}


def start(baseline: Baseline, options: BenchOptions) -> RayBaseline:
    os.environ.update(_ENVIRONMENT)
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise BaselineUnavailable(
            f"ray[data] is not installed ({error}); it is in the dependency group `bench`"
        ) from error
    return RayBaseline(baseline, options)


class RayBaseline:
    def __init__(self, baseline: Baseline, options: BenchOptions) -> None:
        import ray

        from benchmarks.torch_models import StubModels, TorchModels

        ray.init(
            num_cpus=max(2, os.cpu_count() or 1),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _temp_dir=f"{options.scratch}/ray",
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        models = TorchModels(load_weights(options.batch_size, baseline.precision))
        self.options, self.precision = options, models.precision
        self.weights = {False: ray.put(models), True: ray.put(StubModels(models))}

    def about(self) -> dict[str, Any]:
        return {"precision": self.precision}

    def run(self, place: Place, stub: bool) -> Outcome:
        import ray

        from benchmarks.torch_models import outcome_of

        total, stages = Span(), {name: Span() for name in STAGES}
        before, began = tree_cpu_seconds(), time.monotonic()
        with timed(total):
            keys = list_keys(place)
            with timed(stages["photos and models"]):
                answered = (
                    ray.data.read_binary_files(
                        [_path(place, key) for key in keys], filesystem=_filesystem(place), include_paths=True
                    )
                    .map(_decoded)
                    .map_batches(
                        BothModels,
                        fn_constructor_args=(self.weights[stub], self.options.threads),
                        batch_size=self.options.batch_size,
                        compute=ray.data.ActorPoolStrategy(size=1),
                        num_cpus=1,
                    )
                    .materialize()
                )
            with timed(stages["writing tables"]):
                for table, names in (
                    ("classifications", ["day", "key", "label", "labels", "scores"]),
                    ("clip_embeddings", ["day", "key", "embedding"]),
                ):
                    answered.select_columns(names).write_delta(
                        f"{place.results_url}/{table}".removeprefix("file://"),
                        partition_by=["day"],
                        storage_options=place.environment() or None,
                    )
        after = tree_cpu_seconds()
        rows = answered.take_all()
        columns = {name: [row[name] for row in rows] for name in ("label", "scores", "embedding")}
        outcome = outcome_of([row["key"] for row in rows], columns, total, stages)
        # The actor's work before its first batch is start-up, like the loading of models in every baseline.
        outcome.total.wall_seconds -= rows[0]["start_wall_seconds"]
        outcome.tree = {
            "began": began,
            "before": before,
            "after": after,
            # The actor may reuse an idle worker, which used CPU time before.
            "start_up_cpu_seconds": rows[0]["start_cpu_seconds"] - before.get(rows[0]["start_pid"], 0.0),
        }
        return outcome

    def models_alone(self, tensors: np.ndarray) -> None:
        return None

    def close(self) -> None:
        import ray

        ray.shutdown()


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    from benchmarks.loader_baseline import tensor_of

    # Paths come back without the scheme; a key begins with the day's prefix wherever the photos lie.
    path = row["path"]
    return {"key": path[path.rindex("images/") :], "pixels": tensor_of(row["bytes"]).numpy()}


class BothModels:
    """The actor with both models; its rows contain the time that its start took."""

    def __init__(self, weights: Any, threads: int) -> None:
        import ray
        import torch

        began = time.perf_counter()
        torch.set_num_threads(threads)
        self.models = ray.get(weights)
        self.models.answer(torch.zeros((1, 3, 224, 224), dtype=torch.uint8))
        self.start = (time.perf_counter() - began, cpu_seconds())

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        import torch

        columns = self.models.answer(torch.from_numpy(np.ascontiguousarray(batch["pixels"])))
        count = len(batch["key"])
        return {
            "day": [DAY] * count,
            "key": batch["key"],
            "label": columns["label"],
            "labels": columns["labels"],
            "scores": columns["scores"],
            "embedding": columns["embedding"],
            "start_wall_seconds": np.full(count, self.start[0]),
            "start_cpu_seconds": np.full(count, self.start[1]),
            "start_pid": [str(os.getpid())] * count,
        }


def _path(place: Place, key: str) -> str:
    return f"{place.photos_url}/{key}".removeprefix("file://").removeprefix("s3://")


def _filesystem(place: Place) -> Any:
    from pyarrow import fs

    if place.store == "disk":
        return fs.LocalFileSystem()
    options = place.storage_options
    return fs.S3FileSystem(
        access_key=options["access_key_id"],
        secret_key=options["secret_access_key"],
        region=options["region"],
        endpoint_override=options["endpoint"],
    )
