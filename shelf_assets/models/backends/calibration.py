"""int8 models: quantized on photos of a day, compared with float32 on other photos, and saved only above the limits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shelf_assets.models.backends import Network
from shelf_assets.models.backends.opening import OpenModel
from shelf_assets.models.backends.parity import Parity, accuracy_change_points, measure
from shelf_assets.models.backends.store import Card, CompiledModels
from shelf_assets.models.defaults import ParityLimits
from shelf_assets.models.spec import ModelSpec


@dataclass(frozen=True)
class Labelled:
    """Photos with known classes: uint8, N × 3 × H × W, and N names."""

    pixels: np.ndarray
    labels: Sequence[str]


@dataclass(frozen=True)
class Calibrated:
    """Result of a calibration: the int8 spec, its parity, and the accuracy in float32 on the labelled photos, per cent."""

    spec: ModelSpec
    parity: Parity
    accuracy_percent: float | None


def calibrate(
    spec: ModelSpec,
    store: CompiledModels,
    photos: np.ndarray,
    proof: np.ndarray,
    labelled: Labelled | None,
    limits: ParityLimits,
) -> Calibrated:
    """Quantize the spec's model on `photos` and compare it with float32 on `proof`, which has other photos.

    Raises BackendRefused, and saves nothing, where the model is below the limits. Quantization is post-training (NNCF,
    github.com/openvinotoolkit/nncf): symmetric weights per channel, activations by their statistics on the photos.
    """
    from shelf_assets.models.backends.openvino_network import OpenVinoNetwork, quantize

    float_spec = replace(spec, backend="openvino", precision="fp32", calibration=None)
    int8_spec = replace(spec, backend="openvino", precision="int8", calibration=None)
    opened = OpenModel(float_spec, store, device="cpu")
    reference, card = opened.network, opened.card
    opened.close()
    with tempfile.TemporaryDirectory() as scratch:
        quantized = Path(scratch)
        quantize(store.folder_of(float_spec, "cpu"), photos, quantized)
        network = OpenVinoNetwork(quantized, "int8")
        parity = measure(spec.task, _outputs(reference, proof), _outputs(network, proof))
        accuracy = None
        if labelled is not None:
            float32_outputs, int8_outputs = (_outputs(each, labelled.pixels) for each in (reference, network))
            change, accuracy = accuracy_change_points(spec.task, float32_outputs, int8_outputs, labelled.labels)
            parity = replace(parity, labelled_photos=len(labelled.labels), accuracy_change_points=change)
        parity.require(limits, f"{spec.model_id} in int8")
        saved = store.save_calibrated(
            int8_spec, Card(spec.model_id, "", card.labels, parity, calibration_photos=len(photos)), quantized
        )
    return Calibrated(saved, parity, accuracy)


def _outputs(network: Network, pixels: np.ndarray) -> np.ndarray:
    step = network.batch_images
    return np.concatenate([network.submit(pixels[start : start + step])() for start in range(0, len(pixels), step)])
