"""The model in float32 by torch, in a process of its own: exporting and proving need it once, and whoever asks does not keep it.

torch and a model's weights are more than a gigabyte. In the process of a step they would stay until its end.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from multiprocessing import TimeoutError as TookTooLong
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np

from shelf_assets.models.errors import ModelError
from shelf_assets.models.spec import ModelSpec

# Loading torch and a large model takes a minute on a busy machine. A process that was killed never answers.
_ANSWER_SECONDS = 600


class Reference:
    """What every backend of a spec is measured by. The process starts with the first question and ends with `close`."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        self._spec = replace(spec, backend="torch", precision="fp32", calibration=None)
        self._device = device
        self._process: Pool | None = None

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
            self._process.terminate()
            self._process.join()
            self._process = None

    def _ask(self, question: Any, *arguments: Any) -> Any:
        if self._process is None:
            # Not forked: a fork of a process with threads of its own may wait for ever on a lock that one of them held. A
            # pool's process is a daemon, ended with ours; that of an executor would be waited for at our end, for ever.
            self._process = get_context("spawn").Pool(1)
        try:
            return self._process.apply_async(question, (self._spec, self._device, *arguments)).get(_ANSWER_SECONDS)
        except TookTooLong:
            self.close()
            raise ModelError(
                f"the process that runs {self._spec.model_id} in float32 gave no answer in {_ANSWER_SECONDS} s: it was killed, "
                "perhaps for memory; it wants 2 GB beside this one"
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
