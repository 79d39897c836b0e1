"""Specification of a model before it is loaded: name, files, preprocessing, and the digest of all of these.

`catalogue` makes specifications; `classifier` and `embedder` load the models. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from shelf_assets.models.precision import Backend, Precision
from shelf_assets.vision.digests import canonical_digest, preprocess_digest

TaskName = Literal["classifier", "embedder"]
Source = Literal["hub", "packaged", "random"]


@dataclass(frozen=True)
class WeightsFile:
    """One file of a model. `path` is None while it is only on the hub; `repo` is None for packaged files."""

    role: str
    filename: str
    sha256: str
    path: Path | None = field(default=None, compare=False)
    repo: str | None = None
    revision: str | None = None
    cache_dir: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ModelSpec:
    """A model by name and digest, with the model's own preprocessing.

    `mean` and `std` are of RGB pixels in 0..1; `image_size_px` is the side of its input.
    `architecture` is timm's or open_clip's name, `pretrained` the tag of the weights ("" for packaged and
    random ones). `calibration` is the sha256 of a quantized model's files, so that another calibration is another model.
    """

    task: TaskName
    model_id: str
    architecture: str
    pretrained: str
    source: Source
    files: tuple[WeightsFile, ...]
    precision: Precision
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    image_size_px: int
    random_seed: int | None = None
    backend: Backend = "torch"
    calibration: str | None = None

    @cached_property
    def model_digest(self) -> str:
        """sha256 of architecture, the sha256 of each file, backend, precision, calibration, and the seed of random weights.

        Everything that changes a model's outputs changes the digest, so that rows of different models are never mixed.
        """
        described: dict[str, object] = {
            "task": self.task,
            "architecture": self.architecture,
            "files": {file.role: file.sha256 for file in self.files},
            "backend": self.backend,
            "precision": self.precision,
        }
        if self.calibration is not None:
            described["calibration"] = self.calibration
        if self.random_seed is not None:
            described["random_seed"] = self.random_seed
        return canonical_digest(described)

    def preprocess_digest(self, geometry: Mapping[str, object]) -> str:
        """Digest of the stored tensor's geometry and this model's own preprocessing."""
        return preprocess_digest(
            geometry, self.mean, self.std, interpolation=self.interpolation, image_size_px=self.image_size_px
        )

    def file(self, role: str) -> WeightsFile:
        """The file with this role."""
        return next(file for file in self.files if file.role == role)
