"""Vectors of photos from an embedder, without a backend."""

from __future__ import annotations

import numpy as np
import torch

from shelf_assets.models.embedder import Embedder


def embed_images(embedder: Embedder, batch: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return embedder.outputs(embedder.pixels.on_device(batch)).cpu().numpy()
