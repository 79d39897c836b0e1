"""Backends: run a model on this machine's hardware behind one small interface. `catalogue` chooses the model.

    model = OpenModel(spec, store, device="auto")   # `opening`; nothing is loaded yet
    pending = model.submit(pixels)                  # uint8, N × 3 × 224 × 224; a GPU computes in the background
    outputs = pending()                             # float32, N × D: class probabilities, or unit vectors

`torch_network` runs on GPUs and CPUs; `openvino_network` runs exported models on CPUs without torch. Normalisation and the last
activation are part of the network: pixels go in as bytes, and outputs are final. `parity` compares a backend with float32, and a
backend below the limits is refused. Nothing here imports torch or OpenVINO before a network is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

PendingOutputs = Callable[[], np.ndarray]


class Network(Protocol):
    """A model ready to run."""

    device: str
    """Where it runs, for people: cpu, cuda:0 (NVIDIA H100)."""
    batch_images: int
    """The batch size at which it is fastest."""

    def submit(self, pixels: np.ndarray) -> PendingOutputs:
        """Start a batch (uint8, N × 3 × H × W); returns a function that waits for its outputs (float32, N × D)."""
