"""A rival: clip-retrieval's inference loop: its runner and folder reader, with a mapper and a writer of ours for both models.

The package cannot be installed beside this project (its 2.45.0 wants numpy below 2, pyarrow below 16 and open_clip below 3),
so it is unpacked without its dependencies into a folder that BENCH_CLIP_RETRIEVAL names. Its mapper (which downloads
models) and its writer (which knows no labels) are what its runner takes as arguments; the mapper here does as its own does,
and runs the classifier too. As its README advises: batches, two workers that prepare photos.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageOps

from benchmarks.baselines import Baseline, BaselineUnavailable, BenchOptions, Outcome
from benchmarks.loader_baseline import write_tables
from benchmarks.meters import Span, timed
from benchmarks.place import Place
from benchmarks.plain_baseline import transform_of
from benchmarks.torch_models import Columns, StubModels, TorchBaseline, outcome_of

FOLDER_VARIABLE = "BENCH_CLIP_RETRIEVAL"
STAGES = ("models", "writing tables")


def start(baseline: Baseline, options: BenchOptions) -> ClipRetrievalBaseline:
    folder = Path(os.environ.get(FOLDER_VARIABLE, "")).absolute()
    if not os.environ.get(FOLDER_VARIABLE) or not (folder / "clip_retrieval").is_dir():
        raise BaselineUnavailable(
            f"clip-retrieval cannot be installed beside this project (2.45.0 wants numpy below 2 and open_clip below 3), and "
            f"{FOLDER_VARIABLE} names no folder into which it was unpacked with --no-deps"
        )
    _offer(folder)
    return ClipRetrievalBaseline(baseline, options)


def _offer(folder: Path) -> None:
    """Make its modules importable one by one, because the `__init__` of its packages imports flask and faiss."""
    sys.path.append(str(folder))
    for name in ("clip_retrieval", "clip_retrieval.clip_inference"):
        package = types.ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = package


class Preprocess:
    """CLIP's preprocessing after the EXIF rotation, which its reader does not apply."""

    def __init__(self, spec: Any) -> None:
        self.transform = transform_of(spec)

    def __call__(self, image: Any) -> Any:
        return self.transform(ImageOps.exif_transpose(image).convert("RGB"))


class ClipRetrievalBaseline(TorchBaseline):
    def run(self, place: Place, stub: bool) -> Outcome:
        from clip_retrieval.clip_inference.reader import FilesReader
        from clip_retrieval.clip_inference.runner import Runner

        if place.store != "disk":
            raise BaselineUnavailable("its reader of files reads folders only; from a store it reads tar archives")
        models = StubModels(self.models) if stub else self.models
        root = Path(place.photos_url.removeprefix("file://"))
        total, stages = Span(), {name: Span() for name in STAGES}
        writer = Writer(place, root, stages["writing tables"])

        def reader(sampler: Any) -> Any:
            return FilesReader(
                sampler,
                Preprocess(self.models.specs[1]),
                None,
                str(root / place.prefix),
                self.options.batch_size,
                self.options.loader_workers,
                enable_text=False,
            )

        def mapped(batch: dict[str, Any]) -> dict[str, Any]:
            with timed(stages["models"]):
                return {
                    "image_filename": batch["image_filename"],
                    "answers": models.answer_normalised(batch["image_tensor"]),
                }

        with timed(total):
            Runner(reader, lambda: mapped, lambda _: writer, lambda _: Log(), 1)(0)
        return outcome_of(writer.keys, writer.columns, total, stages)

    def models_alone(self, tensors: np.ndarray) -> None:
        return None


class Writer:
    """Collects answers and writes both tables at the end, like its own writer."""

    def __init__(self, place: Place, root: Path, span: Span) -> None:
        self.place, self.root, self.span = place, root, span
        self.keys: list[str] = []
        self.columns: Columns = {}

    def __call__(self, mapped: dict[str, Any]) -> None:
        self.keys += [str(Path(name).relative_to(self.root)) for name in mapped["image_filename"]]
        for name, values in mapped["answers"].items():
            self.columns.setdefault(name, []).extend(values)

    def flush(self) -> None:
        with timed(self.span):
            write_tables(self.place, self.keys, self.columns)


class Log:
    """Logs nothing; its own logger imports wandb."""

    def __call__(self, metrics: dict[str, Any]) -> None:
        pass

    def start(self) -> None:
        pass

    def end(self) -> None:
        pass
