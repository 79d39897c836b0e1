"""Both models in well-tuned torch; the rivals share them, so that rivals do not differ in the models.

Eval mode, inference_mode, channels_last where it helps, bf16 weights on a CPU that has bf16 arithmetic: PyTorch's "Performance
Tuning Guide". Reading and decoding photos belongs in the baselines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.baselines import TOP_K, Baseline, BenchOptions, Models, Outcome, load_weights, stub_vectors
from benchmarks.meters import Span, timed

Columns = dict[str, list[Any]]


class TorchModels:
    """Both models on batches of uint8 pixels (N × 3 × 224 × 224); each model applies its own normalisation. Can be pickled."""

    def __init__(self, weights: Models) -> None:
        self.batch_size, self.precision = weights.batch_size, weights.precision
        self.names = weights.classifier.names
        self.specs = (weights.classifier.spec, weights.embedder.spec)
        dtype = torch.bfloat16 if weights.precision == "bf16" else torch.float32
        self.classifier = weights.classifier.model.to(dtype=dtype, memory_format=torch.channels_last).eval()
        self.embedder = weights.embedder.model.to(dtype=dtype).eval()
        self.dtype = dtype

    def answer(self, pixels: torch.Tensor, stages: dict[str, Span] | None = None) -> Columns:
        """Top labels with scores and unit vectors of a batch."""
        stages = stages or {"classifier": Span(), "embedder": Span()}
        with torch.inference_mode():
            with timed(stages["classifier"]):
                scores, classes = self.classifier(self._input(pixels, 0)).float().softmax(dim=1).topk(TOP_K, dim=1)
            with timed(stages["embedder"]):
                vectors = torch.nn.functional.normalize(
                    self.embedder.encode_image(self._input(pixels, 1)).float(), dim=1
                )
        return columns_of(self.names, classes.tolist(), scores.tolist(), vectors.tolist())

    def answer_normalised(self, floats: torch.Tensor) -> Columns:
        """The same for float32 pixels that were normalised for the embedder: scaled back to 0..255 first."""
        std, mean = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.specs[1].std, self.specs[1].mean))
        return self.answer((floats * std + mean) * 255)

    def models_alone(self, tensors: np.ndarray) -> Outcome:
        total, stages = Span(), {"classifier": Span(), "embedder": Span()}
        with timed(total):
            for start in range(0, len(tensors), self.batch_size):
                self.answer(torch.from_numpy(tensors[start : start + self.batch_size]), stages)
        return Outcome(len(tensors), total, stages)

    def _input(self, pixels: torch.Tensor, which: int) -> torch.Tensor:
        spec = self.specs[which]
        scale = torch.tensor(spec.std).view(1, 3, 1, 1) * 255
        shift = torch.tensor(spec.mean).view(1, 3, 1, 1) * 255
        layout = torch.channels_last if which == 0 else torch.contiguous_format
        return ((pixels.float() - shift) / scale).to(self.dtype, memory_format=layout)


class StubModels:
    """Answers without inference."""

    def __init__(self, models: TorchModels) -> None:
        self.names, self.specs = models.names, models.specs

    def answer(self, pixels: torch.Tensor, stages: dict[str, Span] | None = None) -> Columns:
        count = len(pixels)
        classes = [list(range(TOP_K))] * count
        return columns_of(self.names, classes, [[0.1] * TOP_K] * count, stub_vectors(count).tolist())

    def answer_normalised(self, floats: torch.Tensor) -> Columns:
        return self.answer(floats)


class TorchBaseline:
    """A baseline with these models in its own process; subclasses bring the photos to them."""

    def __init__(self, baseline: Baseline, options: BenchOptions) -> None:
        self.models = TorchModels(load_weights(options.batch_size, baseline.precision))
        self.options = options

    def about(self) -> dict[str, Any]:
        return {"precision": self.models.precision}

    def close(self) -> None:
        """No process outlives a run."""


def columns_of(
    names: list[str], classes: list[list[int]], scores: list[list[float]], vectors: list[list[float]]
) -> Columns:
    """The columns of both tables."""
    labels = [[names[number] for number in row] for row in classes]
    return {"label": [row[0] for row in labels], "labels": labels, "scores": scores, "embedding": vectors}


def outcome_of(keys: list[str], columns: Columns, total: Span, stages: dict[str, Span]) -> Outcome:
    """The outcome of a baseline whose answers are in memory."""
    order = np.argsort(np.array(keys))
    return Outcome(
        len(keys),
        total,
        stages,
        [keys[i] for i in order],
        [columns["label"][i] for i in order],
        np.array([columns["scores"][i][0] for i in order], np.float32),
        np.array([columns["embedding"][i] for i in order], np.float32),
    )
