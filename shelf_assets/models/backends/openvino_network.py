"""Models on CPUs through OpenVINO: exported once from torch, compiled in a fraction of a second, run without torch."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelf_assets.machine import cores
from shelf_assets.models.backends import Answer
from shelf_assets.models.backends.store import MODEL
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import Precision

if TYPE_CHECKING:
    from shelf_assets.models.classifier import Classifier
    from shelf_assets.models.embedder import Embedder

# Measured flat from 8 to 32; more only holds more.
BATCH_IMAGES = 16


def import_openvino() -> Any:
    """OpenVINO without its telemetry: its tools fall back to a stub where that package cannot be imported."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


class OpenVinoNetwork:
    """A compiled model on all cores of this process."""

    def __init__(self, folder: Path, precision: Precision, threads: int | None = None) -> None:
        openvino = import_openvino()
        self.device, self.batch_images = "cpu", BATCH_IMAGES
        options = {
            # One stream over all cores: two would hold two batches and answer each more slowly, for the same rate.
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or cores(),
            # Pinned, two processes of one thread each share one core and leave the other idle.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        self._compiled = openvino.Core().compile_model(str(folder / MODEL), "CPU", options)
        computes = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if computes != options["INFERENCE_PRECISION_HINT"]:
            raise ModelError(
                f"SHELF_MODELS_PRECISION={precision}, and this CPU would compute in {computes}: choose fp32, or a CPU with bf16"
            )

    def submit(self, pixels: np.ndarray) -> Answer:
        """Outputs of a batch; computed at once, on the library's own threads and without the interpreter's lock."""
        outputs = np.array(next(iter(self._compiled(np.ascontiguousarray(pixels)).values())))
        return lambda: outputs


def export(loaded: Classifier | Embedder, folder: Path) -> None:
    """Write a model that was loaded in float32 as OpenVINO's files; any batch size."""
    import torch

    from shelf_assets.models.backends.graph import PixelsToOutputs

    openvino = import_openvino()
    example = torch.zeros((2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # The shape checks are constants on purpose, and which tracer OpenVINO uses is its own affair.
        for category in (torch.jit.TracerWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        converted = openvino.convert_model(PixelsToOutputs(loaded).eval(), example_input=example)
    converted.reshape({converted.inputs[0]: [-1, 3, 224, 224]})
    # Full float32: what is rounded here would be lost for every precision.
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
        # Weights symmetric, activations not: what is after a ReLU or a swish has no negative half to spend bits on.
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
        subset_size=len(batches),
        # Without VNNI, products of bytes are summed in 16 bits and saturate: on such a CPU EfficientNet-Lite0 kept 72 % of its
        # labels and lost 1 to 2 points of accuracy. Weights of half the range never saturate: 88 %, and no point lost.
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )
    openvino.save_model(quantized, str(folder / MODEL), compress_to_fp16=False)
