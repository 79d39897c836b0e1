"""Classifiers: load a timm model, and turn pixels into labels with scores. `catalogue` chooses the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shelf_assets.models.device import PixelInput, at_precision, memory_format_of, pick_device, to_dtype
from shelf_assets.models.hub import local_path
from shelf_assets.models.labels import class_names
from shelf_assets.models.precision import RequestedPrecision
from shelf_assets.models.spec import ModelSpec
from shelf_assets.models.weights import in_order, load_tensors

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ClassifierOutput:
    """The k best labels of N photos, best first, and their softmax scores (float32, N × k)."""

    labels: list[list[str]]
    scores: np.ndarray


class Classifier:
    """A timm model in eval mode on its device."""

    def __init__(self, spec: ModelSpec, model: Any, names: list[str], device: torch.device) -> None:
        self.spec, self.names, self.device = spec, names, device
        layout = memory_format_of(model)
        self.model = model.to(device=device, dtype=to_dtype(spec)).to(memory_format=layout).eval()
        self.pixels = PixelInput(spec, device, layout)

    def predict(self, batch: np.ndarray | torch.Tensor, top_k: int = 5) -> ClassifierOutput:
        """Labels of a batch (uint8, N × 3 × 224 × 224). Raises ValueError for other arrays."""
        probabilities = self.probabilities(batch)
        scores, classes = probabilities.topk(min(top_k, len(self.names)), dim=1)
        labels = [[self.names[number] for number in row] for row in classes.tolist()]
        return ClassifierOutput(labels, scores.cpu().numpy())

    def probabilities(self, batch: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Softmax over all classes: float32, N × classes, on the device."""
        import torch

        with torch.inference_mode():
            pixels = self.pixels.on_device(batch)
            return self.outputs(pixels) if len(pixels) else torch.zeros(0, len(self.names), device=self.device)

    def outputs(self, pixels: torch.Tensor) -> torch.Tensor:
        """Probabilities of pixels on the device, in plain torch operations, so that it can be compiled and exported."""
        return self.model(self.pixels.normalised(pixels)).float().softmax(dim=1)


def load_classifier(spec: ModelSpec, device: str = "auto", precision: RequestedPrecision = "auto") -> Classifier:
    """Load a classifier; missing files are fetched, and their sha256 is checked before loading.

    `precision` "auto" is the spec's; another one gives the classifier a spec, and a digest, of its own.
    Raises WeightsUnavailable, ModelDigestMismatch, UnsafeWeights.
    """
    if spec.task != "classifier":
        raise ValueError(f"{spec.model_id} is not a classifier but an {spec.task}")
    spec = at_precision(spec, precision, device)
    model = _build(spec)
    names = class_names(model.pretrained_cfg, model.num_classes)
    return Classifier(spec, model, names, pick_device(device))


def _build(spec: ModelSpec) -> Any:
    import timm
    import torch

    if spec.source == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.random_seed or 0)
            return timm.create_model(spec.architecture, pretrained=False)
    path = local_path(spec.model_id, spec.files[0])
    if spec.source == "packaged":
        model = timm.create_model(spec.architecture, pretrained=False)
        model.load_state_dict(in_order(load_tensors(path), model))
        return model
    # timm's own loader, which converts older checkpoints; it reads safetensors, or tensors only.
    overlay = {"file": str(path), "custom_load": False}
    return timm.create_model(f"{spec.architecture}.{spec.pretrained}", pretrained=True, pretrained_cfg_overlay=overlay)
