"""A rival: PyTorch's DataLoader, well tuned. One decode serves both models; workers return uint8 pixels.

As the "Performance Tuning Guide" of PyTorch, "Transforming and augmenting images" of torchvision (v2 on uint8 tensors) and
the README of the Amazon S3 Connector for PyTorch advise: workers that read ahead, torchvision's own JPEG decoder with EXIF
applied, no pinned memory without a GPU. It validates no photos, finds no duplicates and keeps no tensors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2

from benchmarks.baselines import GEOMETRY, Baseline, BenchOptions, Outcome
from benchmarks.meters import Span, timed
from benchmarks.place import Place
from benchmarks.plain_baseline import list_keys, write_plain
from benchmarks.torch_models import Columns, StubModels, TorchBaseline, outcome_of

STAGES = ("waiting for photos", "models", "writing tables")
_BATCHES_AHEAD = 2
_TRANSFORM = v2.Compose(
    [
        v2.Resize(GEOMETRY.size_px, interpolation=InterpolationMode.BICUBIC, antialias=True),
        v2.CenterCrop(GEOMETRY.size_px),
    ]
)


def start(baseline: Baseline, options: BenchOptions) -> LoaderBaseline:
    return LoaderBaseline(baseline, options)


def tensor_of(data: bytes) -> torch.Tensor:
    """uint8, 3 × 224 × 224, upright."""
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    upright: torch.Tensor = _TRANSFORM(decode_image(encoded, mode=ImageReadMode.RGB, apply_exif_orientation=True))
    return upright


class FolderPhotos(Dataset):
    """Photos of a folder by key."""

    def __init__(self, folder: Path, keys: list[str]) -> None:
        self.folder, self.keys = folder, keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> tuple[str, torch.Tensor]:
        key = self.keys[number]
        return key, tensor_of((self.folder / key).read_bytes())


class KeyAndTensor:
    """The S3 connector's transform of an object; a class, because it is pickled to the workers."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, reader: Any) -> tuple[str, torch.Tensor]:
        return reader.key.removeprefix(self.prefix), tensor_of(reader.read())


def photos_of(place: Place) -> Dataset:
    if place.store == "disk":
        return FolderPhotos(Path(place.photos_url.removeprefix("file://")), list_keys(place))
    from s3torchconnector import S3ClientConfig, S3MapDataset

    os.environ.update(place.environment())
    options = place.storage_options
    prefix = place.photos_url.removeprefix("s3://").partition("/")[2] + "/"
    return S3MapDataset.from_prefix(
        f"{place.photos_url}/{place.prefix}",
        region=options["region"],
        endpoint=options["endpoint"],
        transform=KeyAndTensor(prefix),
        s3client_config=S3ClientConfig(force_path_style=True),
    )


class LoaderBaseline(TorchBaseline):
    def run(self, place: Place, stub: bool) -> Outcome:
        models = StubModels(self.models) if stub else self.models
        total, stages = Span(), {name: Span() for name in STAGES}
        keys: list[str] = []
        columns: Columns = {}
        with timed(total):
            batches = iter(
                DataLoader(
                    photos_of(place),
                    batch_size=self.options.batch_size,
                    num_workers=self.options.loader_workers,
                    prefetch_factor=_BATCHES_AHEAD,
                )
            )
            while True:
                with timed(stages["waiting for photos"]):
                    batch = next(batches, None)
                if batch is None:
                    break
                with timed(stages["models"]):
                    answers = models.answer(batch[1])
                keys += batch[0]
                for name, values in answers.items():
                    columns.setdefault(name, []).extend(values)
            with timed(stages["writing tables"]):
                write_tables(place, keys, columns)
        return outcome_of(keys, columns, total, stages)

    def models_alone(self, tensors: np.ndarray) -> Outcome:
        return self.models.models_alone(tensors)


def write_tables(place: Place, keys: list[str], columns: Columns) -> None:
    """Write the two Delta tables of a baseline whose answers are in memory."""
    write_plain(place, "classifications", keys, {name: columns[name] for name in ("label", "labels", "scores")})
    write_plain(place, "clip_embeddings", keys, {"embedding": columns["embedding"]})
