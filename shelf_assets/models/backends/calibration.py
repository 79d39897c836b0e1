"""int8 models: quantized on photos of a day, judged on others of it and on labelled ones, kept only above the limits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shelf_assets.models.backends import Network
from shelf_assets.models.backends.opening import OpenModel
from shelf_assets.models.backends.parity import Parity, ParityLimits, accuracy_change_points, measure
from shelf_assets.models.backends.store import Card, CompiledModels
from shelf_assets.models.spec import ModelSpec


@dataclass(frozen=True)
class Labelled:
    """Photos whose class is known: uint8, N × 3 × H × W, and N names."""

    pixels: np.ndarray
    labels: Sequence[str]


@dataclass(frozen=True)
class Calibrated:
    """What came of it: the int8 spec, its parity, and the accuracy in float32 on the labelled photos, per cent."""

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
    """Quantize the spec's model on `photos` and compare it with float32 on `proof`, photos that it was not calibrated on.

    Raises BackendRefused where it is below the limits; nothing is kept then. Quantization: post-training, symmetric weights
    by channel, activations by the statistics of the photos (NNCF, github.com/openvinotoolkit/nncf).
    """
    from shelf_assets.models.backends.openvino_network import OpenVinoNetwork, quantize

    float_spec = replace(spec, backend="openvino", precision="fp32", calibration=None)
    int8_spec = replace(spec, backend="openvino", precision="int8", calibration=None)
    opened = OpenModel(float_spec, store, device="cpu")
    reference, card = opened.network, opened.card
    opened.close()
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        quantize(store.place_of(float_spec, "cpu"), photos, made)
        network = OpenVinoNetwork(made, "int8")
        parity = measure(spec.task, _outputs(reference, proof), _outputs(network, proof))
        accuracy = None
        if labelled is not None:
            in_float32, in_int8 = (_outputs(each, labelled.pixels) for each in (reference, network))
            change, accuracy = accuracy_change_points(spec.task, in_float32, in_int8, labelled.labels)
            parity = replace(parity, labelled_photos=len(labelled.labels), accuracy_change_points=change)
        parity.require(limits, f"{spec.model_id} in int8")
        kept = store.keep_calibrated(
            int8_spec, Card(spec.model_id, "", card.labels, parity, calibration_photos=len(photos)), made
        )
    return Calibrated(kept, parity, accuracy)


def _outputs(network: Network, pixels: np.ndarray) -> np.ndarray:
    step = network.batch_images
    return np.concatenate([network.submit(pixels[start : start + step])() for start in range(0, len(pixels), step)])
