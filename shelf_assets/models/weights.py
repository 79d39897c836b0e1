"""Read weights from files without running code: safetensors, or torch's restricted unpickler, which accepts tensors only.

`hub.local_path` has checked the file's digest before. `classifier` and `embedder` build the models.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from shelf_assets.models.errors import UnsafeWeights

if TYPE_CHECKING:
    import torch


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name, on the CPU. Raises UnsafeWeights for a file with anything else."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as refused:
        raise UnsafeWeights(
            f"{path} contains more than tensors and is not loaded, because that could run code: "
            f"{str(refused).splitlines()[0]} Convert it to safetensors where it comes from."
        ) from refused
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise UnsafeWeights(f"{path} is not a dictionary of tensors by name.")
    return tensors


def in_order(checkpoint: dict[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors under the model's names, for two implementations with the same layers in the same order.

    Raises ValueError unless every pair agrees in shape and in the last part of its name (weight, running_mean …).
    """
    wanted = model.state_dict()
    if len(wanted) != len(checkpoint):
        raise ValueError(f"the checkpoint has {len(checkpoint)} tensors and the model {len(wanted)}")
    for (name, here), (theirs, tensor) in zip(wanted.items(), checkpoint.items(), strict=True):
        if here.shape != tensor.shape or name.rpartition(".")[2] != theirs.rpartition(".")[2]:
            raise ValueError(f"{theirs} {tuple(tensor.shape)} does not fit {name} {tuple(here.shape)}")
    return dict(zip(wanted, checkpoint.values(), strict=True))
