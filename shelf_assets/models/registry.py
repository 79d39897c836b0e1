"""Look up model names in timm's and open_clip's registries: architecture, hub repository, preprocessing, near matches.

Both libraries import torch, so a process that has not imported them asks a child process, once per name. Weights are not
touched here.
"""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import shelf_assets
from shelf_assets.models.errors import ModelError, UnknownModel
from shelf_assets.models.spec import TaskName

_LIBRARY = {"classifier": "timm", "embedder": "open_clip"}
_PACKAGE = {"classifier": "timm", "embedder": "open-clip-torch"}
_ALL_NAMES = {
    "classifier": "timm.list_models(pretrained=True)",
    "embedder": "open_clip.list_pretrained(), written ARCHITECTURE/PRETRAINED",
}
# The child imports torch, perhaps from a cold disk on a busy machine.
_CHILD_SECONDS = 300
_PACKAGE_ROOT = Path(shelf_assets.__file__).parents[1]


@dataclass(frozen=True)
class RegisteredModel:
    """A model in a registry. `repo` is "" if its weights are not on the hub; `filenames` are tried in order."""

    name: str
    architecture: str
    pretrained: str
    repo: str
    filenames: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    image_size_px: int

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> RegisteredModel:
        lists = {key: tuple(entry[key]) for key in ("filenames", "mean", "std")}
        return cls(**{**entry, **lists})


def registry_key(task: TaskName, name: str) -> str:
    """Key for an entry on disk, which is valid for one version of the library."""
    return f"{_PACKAGE[task]}=={version(_PACKAGE[task])}/{name}"


@lru_cache(maxsize=64)
def registered_model(task: TaskName, name: str) -> RegisteredModel:
    """The registry's entry of a model. Raises UnknownModel with near matches."""
    answer = _look_up(task, name) if _LIBRARY[task] in sys.modules else _ask_child(task, name)
    if "unknown" in answer:
        raise UnknownModel(name, answer["near"], _ALL_NAMES[task])
    if "refused" in answer:
        raise ModelError(answer["refused"])
    return RegisteredModel.from_json(answer)


def _ask_child(task: TaskName, name: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-c",
        f"import sys; from {__name__} import print_entry; print_entry(*sys.argv[1:])",
        task,
        name,
    ]
    # With -c the child imports modules from its working directory, so it finds this package even if it is not installed.
    child = subprocess.run(
        command, cwd=_PACKAGE_ROOT, capture_output=True, text=True, timeout=_CHILD_SECONDS, check=False
    )
    if child.returncode != 0:
        raise ModelError(f"{_LIBRARY[task]} cannot look up {name!r}: {child.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer


def _look_up(task: str, name: str) -> dict[str, Any]:
    return _look_up_in_timm(name) if task == "classifier" else _look_up_in_open_clip(name)


def _look_up_in_timm(name: str) -> dict[str, Any]:
    import timm
    from timm.data import resolve_data_config

    architecture, _, tag = name.partition(".")
    names = timm.list_models(pretrained=True)
    if not timm.is_model(architecture) or (tag and name not in names):
        return _unknown(name, names)
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.num_classes:
        return {"refused": f"{name} has no classes, only features: choose a model with a classifier."}
    data = resolve_data_config(pretrained_cfg=config.to_dict())
    model = RegisteredModel(
        name=f"{architecture}.{config.tag}" if config.tag else architecture,
        architecture=architecture,
        pretrained=config.tag or "",
        repo=config.hf_hub_id or "",
        filenames=("model.safetensors", "pytorch_model.bin"),
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        interpolation=data["interpolation"],
        image_size_px=data["input_size"][-1],
    )
    return asdict(model)


def _look_up_in_open_clip(name: str) -> dict[str, Any]:
    import open_clip
    from open_clip.transform import PreprocessCfg

    architecture, _, tag = name.rpartition("/") if "/" in name else (name, "", "")
    names = ["/".join(pair) for pair in open_clip.list_pretrained()]
    model_config = open_clip.get_model_config(architecture)
    if model_config is None or (tag and name not in names):
        return _unknown(name, names)
    pretrained = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if pretrained.get("quick_gelu", False) != model_config.get("quick_gelu", False) and tag:
        # open_clip only warns, but the vectors would be slightly wrong.
        other = f"{architecture}-quickgelu" if pretrained.get("quick_gelu") else architecture.removesuffix("-quickgelu")
        return {"refused": f"the weights {tag} were trained with another activation; use {other}/{tag}."}
    preprocess = {**asdict(PreprocessCfg()), **pretrained}
    size = model_config["vision_cfg"].get("image_size", 224)
    repo, _, filename = str(pretrained.get("hf_hub", "")).rpartition("/")
    safetensors = f"{filename.rpartition('.')[0]}.safetensors" if filename else "open_clip_model.safetensors"
    model = RegisteredModel(
        name=name,
        architecture=architecture,
        pretrained=tag,
        repo=repo,
        filenames=(safetensors, filename or "open_clip_pytorch_model.bin"),
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        interpolation=preprocess["interpolation"],
        image_size_px=size if isinstance(size, int) else size[0],
    )
    return asdict(model)


def _unknown(name: str, names: list[str]) -> dict[str, Any]:
    lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), lower, n=5, cutoff=0.5)
    return {"unknown": name, "near": [lower[match] for match in near]}


def print_entry(task: str, name: str) -> None:
    """Run in the child process: print the registry's answer as one line of JSON."""
    sys.stdout.write(json.dumps(_look_up(task, name)) + "\n")
