"""Backends: what runs a model on this machine's hardware, behind one small interface. Which model it is belongs in `models`.

    model = OpenModel(spec, store, device="auto")   # `opening`; nothing is loaded yet
    answer = model.submit(pixels)                   # uint8, N × 3 × 224 × 224; the work may be under way
    outputs = answer()                              # float32, N × D: class probabilities, or unit vectors

`torch_network` runs on GPUs and CPUs, `openvino_network` models that were exported once and need no torch afterwards.
Normalisation and the last activation are part of what runs: pixels go in as bytes, results come out ready. How true a backend
is to float32 is measured in `parity`; a backend below the limits is refused. Nothing here imports torch or OpenVINO before
a network is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

Answer = Callable[[], np.ndarray]


class Network(Protocol):
    """A model ready to run."""

    device: str
    """Where it runs, in words: cpu, cuda:0 (NVIDIA H100)."""
    batch_images: int
    """The batch that it runs best with."""

    def submit(self, pixels: np.ndarray) -> Answer:
        """Start on a batch (uint8, N × 3 × H × W); what comes back waits for its outputs (float32, N × D)."""
