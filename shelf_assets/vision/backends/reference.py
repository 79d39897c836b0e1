"""The model in float32 by torch, in a process of its own: exporting and proving need it once, and whoever asks does not keep it.

torch and a model's weights are more than a gigabyte. In the process of a step they would stay until its end.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from shelf_assets.vision.models.spec import ModelSpec


class Reference:
    """What every backend of a spec is measured by. The process starts with the first question and ends with `close`."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        self._spec = replace(spec, backend="torch", precision="fp32", calibration=None)
        self._device = device
        self._process: ProcessPoolExecutor | None = None

    def labels(self) -> tuple[str, ...] | None:
        """A classifier's class names in the order of its outputs; None of an embedder."""
        names: tuple[str, ...] | None = self._ask(_labels)
        return names

    def export(self, folder: Path) -> None:
        """Write the model as OpenVINO's files."""
        self._ask(_export, folder)

    def outputs(self, pixels: np.ndarray) -> np.ndarray:
        """Outputs (float32, N × D) of pixels (uint8, N × 3 × H × W)."""
        found: np.ndarray = self._ask(_outputs, pixels)
        return found

    def close(self) -> None:
        if self._process is not None:
            self._process.shutdown(wait=True)
            self._process = None

    def _ask(self, question: Any, *arguments: Any) -> Any:
        if self._process is None:
            # Not forked: a fork of a process with threads of its own may wait for ever on a lock that one of them held.
            self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        return self._process.submit(question, self._spec, self._device, *arguments).result()


@lru_cache(maxsize=1)
def _loaded(spec: ModelSpec, device: str) -> Any:
    from shelf_assets.vision.backends.graph import load

    return load(spec, device)


def _labels(spec: ModelSpec, device: str) -> tuple[str, ...] | None:
    names = getattr(_loaded(spec, device), "names", None)
    return tuple(names) if names is not None else None


def _export(spec: ModelSpec, device: str, folder: Path) -> None:
    from shelf_assets.vision.backends.openvino_network import export

    export(_loaded(spec, device), folder)


def _outputs(spec: ModelSpec, device: str, pixels: np.ndarray) -> np.ndarray:
    from shelf_assets.vision.backends.graph import outputs_of

    return outputs_of(_loaded(spec, device), pixels)
