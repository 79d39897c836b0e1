"""Models on CPUs with OpenVINO: exported from torch once, compiled in a fraction of a second, run without torch."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelf_assets.machine import cores
from shelf_assets.models.backends import PendingOutputs
from shelf_assets.models.backends.store import MODEL
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import Precision

if TYPE_CHECKING:
    from shelf_assets.models.classifier import Classifier
    from shelf_assets.models.embedder import Embedder

# Measured speed is the same from 8 to 32; larger batches only take more memory.
BATCH_IMAGES = 16


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry: its tools use a stub if that package cannot be imported."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


class OpenVinoNetwork:
    """A compiled model on all cores of this process."""

    def __init__(self, folder: Path, precision: Precision, threads: int | None = None) -> None:
        openvino = import_openvino()
        self.device, self.batch_images = "cpu", BATCH_IMAGES
        options = {
            # One stream over all cores: two would hold two batches and be slower for each, at the same throughput.
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or cores(),
            # With pinning, two processes of one thread each would share one core and leave the other idle.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        self._compiled = openvino.Core().compile_model(str(folder / MODEL), "CPU", options)
        computes = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if computes != options["INFERENCE_PRECISION_HINT"]:
            raise ModelError(
                f"SHELF_MODELS_PRECISION={precision}, and this CPU would compute in {computes}: choose fp32, or a CPU with bf16"
            )

    def submit(self, pixels: np.ndarray) -> PendingOutputs:
        """Outputs of a batch; computed immediately, on the library's threads and without the GIL."""
        outputs = np.array(next(iter(self._compiled(np.ascontiguousarray(pixels)).values())))
        return lambda: outputs


def export(loaded: Classifier | Embedder, folder: Path) -> None:
    """Write a model that was loaded in float32 as OpenVINO files, for any batch size."""
    import torch

    from shelf_assets.models.backends.graph import PixelsToOutputs

    openvino = import_openvino()
    example = torch.zeros((2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # The warnings are about shape checks, which are constant on purpose, and about OpenVINO's choice of tracer.
        for category in (torch.jit.TracerWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        converted = openvino.convert_model(PixelsToOutputs(loaded).eval(), example_input=example)
    converted.reshape({converted.inputs[0]: [-1, 3, 224, 224]})
    # Full float32, because rounding here would affect every precision.
    openvino.save_model(converted, str(folder / MODEL), compress_to_fp16=False)


def quantize(source: Path, photos: np.ndarray, folder: Path) -> None:
    """Write the int8 version of an exported model, calibrated on photos (uint8, N × 3 × H × W)."""
    openvino = import_openvino()
    import nncf

    model = openvino.Core().read_model(str(source / MODEL))
    kinds = [operation.get_type_name() for operation in model.get_ops()]
    is_transformer = kinds.count("MatMul") > kinds.count("Convolution")
    batches = [photos[start : start + BATCH_IMAGES] for start in range(0, len(photos), BATCH_IMAGES)]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(batches),
        # Symmetric weights, asymmetric activations: after ReLU or swish there are (almost) no negative values to represent.
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
        subset_size=len(batches),
        # CPUs without VNNI sum products of bytes in 16 bits, which saturate: there EfficientNet-Lite0 kept 72 % of its labels
        # and lost 1 to 2 points of accuracy. Weights of half the range never saturate: it kept 88 % and lost no accuracy.
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )
    openvino.save_model(quantized, str(folder / MODEL), compress_to_fp16=False)
