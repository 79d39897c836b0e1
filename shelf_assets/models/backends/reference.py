"""The reference: a model in float32 with torch, in a process of its own, for exports and for parity.

torch and a model's weights take more than a gigabyte, which would stay in a step's process until its end.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from multiprocessing import TimeoutError as CallTimeout
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np

from shelf_assets.models.errors import ModelError
from shelf_assets.models.spec import ModelSpec

# Loading torch and a large model takes a minute on a busy machine. A killed process never answers.
_CALL_SECONDS = 600


class Reference:
    """The float32 model of a spec. Its process starts with the first call and ends with `close`."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        self._spec = replace(spec, backend="torch", precision="fp32", calibration=None)
        self._device = device
        self._process: Pool | None = None

    def labels(self) -> tuple[str, ...] | None:
        """A classifier's class names in the order of its outputs; None for an embedder."""
        names: tuple[str, ...] | None = self._call(_labels)
        return names

    def export(self, folder: Path) -> None:
        """Write the model as OpenVINO files."""
        self._call(_export, folder)

    def outputs(self, pixels: np.ndarray) -> np.ndarray:
        """Outputs (float32, N × D) of pixels (uint8, N × 3 × H × W)."""
        found: np.ndarray = self._call(_outputs, pixels)
        return found

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            self._process = None

    def _call(self, function: Any, *arguments: Any) -> Any:
        if self._process is None:
            # Not forked: a fork of a process with threads may deadlock on a lock that one of them held. A pool's process is a
            # daemon, which ends with its parent; the parent would wait for an executor's process at exit.
            self._process = get_context("spawn").Pool(1)
        try:
            return self._process.apply_async(function, (self._spec, self._device, *arguments)).get(_CALL_SECONDS)
        except CallTimeout:
            self.close()
            raise ModelError(
                f"the process that runs {self._spec.model_id} in float32 gave no result within {_CALL_SECONDS} s: it was killed, "
                "perhaps for lack of memory; it needs 2 GB in addition to this process"
            ) from None


@lru_cache(maxsize=1)
def _loaded(spec: ModelSpec, device: str) -> Any:
    from shelf_assets.models.backends.graph import load

    return load(spec, device)


def _labels(spec: ModelSpec, device: str) -> tuple[str, ...] | None:
    names = getattr(_loaded(spec, device), "names", None)
    return tuple(names) if names is not None else None


def _export(spec: ModelSpec, device: str, folder: Path) -> None:
    from shelf_assets.models.backends.openvino_network import export

    export(_loaded(spec, device), folder)


def _outputs(spec: ModelSpec, device: str, pixels: np.ndarray) -> np.ndarray:
    from shelf_assets.models.backends.graph import outputs_of

    return outputs_of(_loaded(spec, device), pixels)
