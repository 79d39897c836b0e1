"""A rival: Daft, one lazy plan from keys to answers, in its native runner.

As Daft's pages "Working with Images" (download, decode and torchvision in a UDF that returns a fixed-shape tensor) and "Stateful
Class UDFs with @daft.cls" (the models, in batches) show it. Its own `decode_image` ignores EXIF (issue 7148 of its
repository), so rotated photos would get other answers, and its own `resize` is bilinear and dearer: the photo is decoded by
torchvision in the UDF. Its `write_deltalake` wants pyiceberg (0.7.26), so delta-rs writes. It validates no photos, finds no
duplicates and keeps no tensors.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from benchmarks.baselines import GEOMETRY, Baseline, BaselineUnavailable, BenchOptions, Outcome, load_weights
from benchmarks.loader_baseline import tensor_of, write_tables
from benchmarks.meters import Span, timed
from benchmarks.place import Place
from benchmarks.plain_baseline import list_keys
from benchmarks.torch_models import StubModels, TorchModels, outcome_of

# Read when Daft is imported.
os.environ.update(DAFT_PROGRESS_BAR="0", DAFT_ANALYTICS_ENABLED="0", DO_NOT_TRACK="1")
STAGES = ("photos and models", "writing tables")
# Loaded once for all runs, by whether they are stub.
LOADED: dict[bool, TorchModels | StubModels] = {}


def start(baseline: Baseline, options: BenchOptions) -> DaftBaseline:
    try:
        import daft
    except ImportError as error:
        raise BaselineUnavailable(f"daft is not installed ({error}); it is in the dependency group `bench`") from error
    daft.set_runner_native(num_threads=options.threads)
    return DaftBaseline(baseline, options)


class DaftBaseline:
    def __init__(self, baseline: Baseline, options: BenchOptions) -> None:
        models = TorchModels(load_weights(options.batch_size, baseline.precision))
        LOADED.update({False: models, True: StubModels(models)})
        self.options, self.precision = options, models.precision

    def about(self) -> dict[str, Any]:
        return {"precision": self.precision}

    def run(self, place: Place, stub: bool) -> Outcome:
        import daft
        from daft import col

        io = _io_config(place)
        total, stages = Span(), {name: Span() for name in STAGES}
        with timed(total):
            keys = list_keys(place)
            with timed(stages["photos and models"]):
                plan = daft.from_pydict({"key": keys, "url": [f"{place.photos_url}/{key}" for key in keys]})
                answered = (
                    plan.with_column("pixels", _tensors()(col("url").download(io_config=io)))
                    .select(col("key"), _answers(stub, self.options.batch_size)(col("pixels")))
                    .to_pydict()
                )
            answered_keys = answered.pop("key")
            with timed(stages["writing tables"]):
                write_tables(place, answered_keys, answered)
        return outcome_of(answered_keys, answered, total, stages)

    def models_alone(self, tensors: np.ndarray) -> None:
        return None

    def close(self) -> None:
        pass


def _tensors() -> Any:
    import daft

    size = GEOMETRY.size_px

    @daft.func(return_dtype=daft.DataType.tensor(daft.DataType.uint8(), (3, size, size)))
    def tensors(data: bytes) -> np.ndarray:
        return tensor_of(data).numpy()

    return tensors


def _answers(stub: bool, batch_size: int) -> Any:
    """The models as a class UDF: one instance, in this process."""
    import daft
    from daft import DataType

    answer = DataType.struct(
        {
            "label": DataType.string(),
            "labels": DataType.list(DataType.string()),
            "scores": DataType.list(DataType.float32()),
            "embedding": DataType.list(DataType.float32()),
        }
    )

    @daft.cls(use_process=False, max_concurrency=1)
    class BothModels:
        def __init__(self) -> None:
            # Daft pickles the class into its plan. Looked up by name here, the weights stay out of it.
            from benchmarks.daft_baseline import LOADED

            self.models = LOADED[stub]

        @daft.method.batch(return_dtype=answer, unnest=True, batch_size=batch_size)
        def __call__(self, pixels: Any) -> list[dict[str, Any]]:
            columns = self.models.answer(torch.from_numpy(np.stack(pixels.to_pylist())))
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    return BothModels()


def _io_config(place: Place) -> Any:
    from daft.io import IOConfig, S3Config

    if place.store == "disk":
        return IOConfig()
    options = place.storage_options
    return IOConfig(
        s3=S3Config(
            endpoint_url=options["endpoint"],
            region_name=options["region"],
            key_id=options["access_key_id"],
            access_key=options["secret_access_key"],
            use_ssl=False,
        )
    )
