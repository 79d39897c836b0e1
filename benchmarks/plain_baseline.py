"""Plain PyTorch: boto3, smart_open, PIL, torchvision's transforms, a DataLoader, eager float32.

Written like the libraries' own tutorials and not slowed down: the EXIF rotation is applied (else rotated photos get other
answers), the loader has one worker per core, results are written to Delta once per table. It validates no photos, hashes
nothing, finds no duplicates and keeps no tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import torch
from deltalake import write_deltalake
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import normalize

from benchmarks.baselines import GEOMETRY, TOP_K, Baseline, BenchOptions, Models, Outcome, load_weights, stub_vectors
from benchmarks.meters import Span, timed
from benchmarks.place import DAY, Place

STAGES = ("classifications", "clip_embeddings")


def start(baseline: Baseline, options: BenchOptions) -> PlainBaseline:
    return PlainBaseline(baseline, options)


class PlainBaseline:
    def __init__(self, baseline: Baseline, options: BenchOptions) -> None:
        self.models, self.options = PlainModels(load_weights(options.batch_size, baseline.precision)), options

    def about(self) -> dict[str, Any]:
        return {"precision": "fp32"}

    def run(self, place: Place, stub: bool) -> Outcome:
        return run(place, StubPlainModels(self.models) if stub else self.models, self.options.loader_workers)

    def models_alone(self, tensors: np.ndarray) -> Outcome:
        """The forward passes alone, on float32 in memory."""
        models = self.models
        unit = torch.from_numpy(tensors).float() / 255
        floats = [normalize(unit, spec.mean, spec.std) for spec in models.specs]
        total, stages = Span(), {"classifier": Span(), "embedder": Span()}
        with torch.no_grad(), timed(total):
            for start in range(0, len(tensors), models.batch_size):
                with timed(stages["classifier"]):
                    models.classify(floats[0][start : start + models.batch_size])
                with timed(stages["embedder"]):
                    models.embed(floats[1][start : start + models.batch_size])
        return Outcome(len(tensors), total, stages)

    def parts(self, place: Place) -> dict[str, float]:
        from benchmarks import parts

        return parts.of_plain(place, self.models)

    def close(self) -> None:
        pass


# Shorter side to 224 px, bicubic with antialias, centre crop.
_CUT = [
    transforms.Resize(GEOMETRY.size_px, interpolation=transforms.InterpolationMode.BICUBIC, antialias=True),
    transforms.CenterCrop(GEOMETRY.size_px),
]


def transform_of(spec: Any) -> Callable[[Image.Image], torch.Tensor]:
    """Resize and crop, then float32 normalised by the model's mean and deviation."""
    return transforms.Compose([*_CUT, transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)])


def upright(file: Any) -> Image.Image:
    with Image.open(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def exact_pixels(file: Any) -> np.ndarray:
    """The same photo before it becomes floats: uint8, 3 × 224 × 224."""
    return np.asarray(transforms.Compose(_CUT)(upright(file))).transpose(2, 0, 1)


class Photos(Dataset):
    """One photo at a time by its key. Each worker makes its own client, because boto3's must not be shared across a fork."""

    def __init__(self, place: Place, keys: list[str], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.place, self.keys, self.transform = place, keys, transform

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> tuple[int, torch.Tensor]:
        with self.open(self.keys[number]) as file:
            return number, self.transform(upright(file))

    def open(self, key: str) -> Any:
        if self.place.store == "disk":
            return Path(self.place.photos_url.removeprefix("file://"), key).open("rb")
        import smart_open

        return smart_open.open(f"{self.place.photos_url}/{key}", "rb", transport_params={"client": self._client})

    @cached_property
    def _client(self) -> Any:
        return s3_client(self.place)


def s3_client(place: Place) -> Any:
    import boto3

    options = place.storage_options
    return boto3.client(
        "s3",
        endpoint_url=options["endpoint"],
        region_name=options["region"],
        aws_access_key_id=options["access_key_id"],
        aws_secret_access_key=options["secret_access_key"],
    )


def list_keys(place: Place) -> list[str]:
    if place.store == "disk":
        root_folder = Path(place.photos_url.removeprefix("file://"))
        return sorted(str(path.relative_to(root_folder)) for path in (root_folder / place.prefix).iterdir())
    parts = urlsplit(place.photos_url)
    root = parts.path.strip("/") + "/"
    pages = s3_client(place).get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=root + place.prefix)
    return sorted(entry["Key"].removeprefix(root) for page in pages for entry in page.get("Contents", []))


class PlainModels:
    """The same weights in float32 and torch's default memory layout."""

    def __init__(self, weights: Models) -> None:
        self.batch_size = weights.batch_size
        self.names = weights.classifier.names
        self.specs = (weights.classifier.spec, weights.embedder.spec)
        self.classifier = weights.classifier.model.float().to(memory_format=torch.contiguous_format).eval()
        self.embedder = weights.embedder.model.float().to(memory_format=torch.contiguous_format).eval()

    def classify(self, floats: torch.Tensor) -> dict[str, list[Any]]:
        scores, classes = self.classifier(floats).softmax(dim=1).topk(TOP_K, dim=1)
        labels = [[self.names[number] for number in row] for row in classes.tolist()]
        return {"label": [row[0] for row in labels], "labels": labels, "scores": scores.tolist()}

    def embed(self, floats: torch.Tensor) -> dict[str, list[Any]]:
        return {"embedding": torch.nn.functional.normalize(self.embedder.encode_image(floats), dim=1).tolist()}


class StubPlainModels:
    """Answers without inference."""

    def __init__(self, models: PlainModels) -> None:
        self.batch_size, self.specs, self.labels = models.batch_size, models.specs, models.names[:TOP_K]

    def classify(self, floats: torch.Tensor) -> dict[str, list[Any]]:
        count = len(floats)
        scores = [[0.1] * TOP_K] * count
        return {"label": [self.labels[0]] * count, "labels": [self.labels] * count, "scores": scores}

    def embed(self, floats: torch.Tensor) -> dict[str, list[Any]]:
        return {"embedding": stub_vectors(len(floats)).tolist()}


def run(place: Place, models: PlainModels | StubPlainModels, workers: int) -> Outcome:
    """All photos through one model, then through the other; each decodes them again."""
    total, stages = Span(), {name: Span() for name in STAGES}
    with timed(total):
        keys = list_keys(place)
        with timed(stages["classifications"]):
            labels = _one_model(place, keys, "classifications", models, 0, models.classify, workers)
        with timed(stages["clip_embeddings"]):
            vectors = _one_model(place, keys, "clip_embeddings", models, 1, models.embed, workers)
    return Outcome(
        len(keys),
        total,
        stages,
        keys,
        list(labels["label"]),
        np.array([scores[0] for scores in labels["scores"]], dtype=np.float32),
        np.array(vectors["embedding"], dtype=np.float32),
    )


def _one_model(
    place: Place,
    keys: list[str],
    table: str,
    models: PlainModels | StubPlainModels,
    which: int,
    infer: Callable[[torch.Tensor], dict[str, list[Any]]],
    workers: int,
) -> dict[str, list[Any]]:
    photos = Photos(place, keys, transform_of(models.specs[which]))
    columns: dict[str, list[Any]] = {}
    order: list[int] = []
    with torch.no_grad():
        for numbers, floats in DataLoader(photos, batch_size=models.batch_size, num_workers=workers):
            order += numbers.tolist()
            for name, values in infer(floats).items():
                columns.setdefault(name, []).extend(values)
    write_plain(place, table, [keys[number] for number in order], columns)
    return columns


def write_plain(place: Place, table: str, keys: list[str], columns: dict[str, list[Any]]) -> None:
    frame = pl.DataFrame({"day": [DAY] * len(keys), "key": keys} | columns)
    write_deltalake(
        f"{place.results_url}/{table}",
        frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
        mode="append",
        partition_by=["day"],
        storage_options=place.storage_options or None,
    )
