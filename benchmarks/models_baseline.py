"""The product's models alone, on tensors in memory: the lower limit of any pipeline around them."""

from __future__ import annotations

import numpy as np

from benchmarks.baselines import Models, Outcome
from benchmarks.meters import Span, timed


def run_uint8(tensors: np.ndarray, models: Models) -> Outcome:
    """Both models as the product runs them: uint8 in, probabilities and vectors out, same batch size and precision."""
    total, stages = Span(), {"classifier": Span(), "embedder": Span()}
    with timed(total):
        for batch in _batches(tensors, models.batch_size):
            with timed(stages["classifier"]):
                models.classifier.submit(batch)()
            with timed(stages["embedder"]):
                models.embedder.submit(batch)()
    return Outcome(len(tensors), total, stages)


def _batches(tensors: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [tensors[start : start + batch_size] for start in range(0, len(tensors), batch_size)]
