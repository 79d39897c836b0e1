"""A loaded model as one torch module from stored pixels to final outputs; torch runs it, or it is exported."""

from __future__ import annotations

import numpy as np
import torch

from shelf_assets.models.classifier import Classifier, load_classifier
from shelf_assets.models.embedder import Embedder, load_embedder
from shelf_assets.models.spec import ModelSpec


class PixelsToOutputs(torch.nn.Module):
    """uint8, N × 3 × H × W, to float32, N × D: probabilities of a classifier, unit vectors of an embedder."""

    def __init__(self, loaded: Classifier | Embedder) -> None:
        super().__init__()
        self.loaded = loaded
        self.model = loaded.model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.loaded.outputs(pixels)


def load(spec: ModelSpec, device: str) -> Classifier | Embedder:
    """Load the model of a spec with torch."""
    return load_classifier(spec, device) if spec.task == "classifier" else load_embedder(spec, device)


def outputs_of(loaded: Classifier | Embedder, pixels: np.ndarray) -> np.ndarray:
    """Outputs of a model, computed in small batches: float32, N × D."""
    with torch.inference_mode():
        parts = [
            loaded.outputs(loaded.pixels.on_device(pixels[start : start + 16])).cpu().numpy()
            for start in range(0, len(pixels), 16)
        ]
    return np.concatenate(parts)
