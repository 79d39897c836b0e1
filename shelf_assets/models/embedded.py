"""The embedded models: installed files and their pinned digests. Imports no torch.

EfficientNet-Lite0 (ImageNet) classifies. The same tower with a trained projection, next to the MiniLM text tower, embeds.
`classifier` and `embedder` load them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shelf_assets.models.errors import ModelDigestMismatch, WeightsUnavailable
from shelf_assets.models.precision import Precision
from shelf_assets.models.spec import ModelSpec, TaskName, WeightsFile
from shelf_assets.vision.digests import file_digest

PACKAGED = Path(__file__).parent / "packaged"
PROJECTION = "clip_projection.safetensors"
PROJECTION_CARD = PACKAGED / "clip_projection.json"


@lru_cache(maxsize=1)
def embedded_config() -> dict[str, Any]:
    """Description of both models, with open_clip's configuration of the embedder."""
    config: dict[str, Any] = json.loads((PACKAGED / "embedded.json").read_text())
    return config


def embedded_spec(task: TaskName, precision: Precision, projection: WeightsFile | None = None) -> ModelSpec:
    """The embedded model of a task; `projection` replaces the packaged one in training.

    Raises WeightsUnavailable for a missing package, ModelDigestMismatch for a changed file.
    """
    config = embedded_config()
    model, preprocess = config[task], config["preprocess"]
    files = [_pinned(role, model["model_id"]) for role in model["files"]]
    if task == "embedder":
        files.append(_checked(model["model_id"], projection or projection_file()))
    return ModelSpec(
        task=task,
        model_id=model["model_id"],
        architecture=model["architecture"],
        pretrained="",
        source="packaged",
        files=tuple(files),
        precision=precision,
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        interpolation=preprocess["interpolation"],
        image_size_px=preprocess["image_size_px"],
    )


def projection_file() -> WeightsFile:
    """The projection that this project has trained; its card has its digest."""
    card = json.loads(PROJECTION_CARD.read_text())
    return WeightsFile("projection", PROJECTION, card["sha256"], PACKAGED / PROJECTION)


def _pinned(role: str, model_id: str) -> WeightsFile:
    described = embedded_config()["files"][role]
    # find_spec does not import the package: only its files are used.
    package = find_spec(described["package"])
    if package is None or not package.submodule_search_locations:
        raise WeightsUnavailable(
            f"the package {described['package']} with the weights of {model_id} is not installed; "
            "install the project's requirements again."
        )
    path = Path(package.submodule_search_locations[0]) / described["filename"]
    return _checked(model_id, WeightsFile(role, described["filename"], described["sha256"], path))


def _checked(model_id: str, file: WeightsFile) -> WeightsFile:
    assert file.path is not None  # packaged files are on this machine
    if not file.path.is_file():
        raise WeightsUnavailable(
            f"{file.path}, a file of {model_id}, is missing; install the project's requirements again."
        )
    found = file_digest(file.path)
    if found != file.sha256:
        advice = f"{file.path} was changed or damaged: install its package again."
        raise ModelDigestMismatch(model_id, file.sha256, found, advice)
    return file
