"""The last step of preprocessing, on the device: from a batch of stored pixels to a model's normalised input.

`vision.preprocess` decodes and cuts photos; this module sees uint8 tensors only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shelf_assets.models.precision import RequestedPrecision, resolve_precision
from shelf_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


def pick_device(setting: str) -> torch.device:
    """The torch device of a setting: `auto` is CUDA if available, else the CPU."""
    import torch

    if setting == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(setting)


def at_precision(spec: ModelSpec, requested: RequestedPrecision, device: str) -> ModelSpec:
    """The spec with another precision, and thus another digest; `auto` keeps the spec's own."""
    return spec if requested == "auto" else replace(spec, precision=resolve_precision(requested, device=device))


def to_dtype(spec: ModelSpec) -> torch.dtype:
    """The torch dtype of a spec's precision."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(spec.precision, torch.float32)


def memory_format_of(model: torch.nn.Module) -> torch.memory_format:
    """The memory format in which a model runs fastest on a CPU.

    Measured on two Zen 3 cores: channels_last makes ResNet-50 a quarter faster, and ViT-B/32, which has one convolution only,
    a tenth slower.
    """
    import torch

    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    return torch.channels_last if convolutions > 1 else torch.contiguous_format


class PixelInput:
    """Turns uint8 N × 3 × H × W (RGB) into the normalised input of one model, in the model's memory format.

    Only bytes are copied to the device. A batch whose side is not the model's is resized there (antialiased, with the model's
    interpolation), because stored tensors have one size for all models.
    """

    def __init__(self, spec: ModelSpec, device: torch.device, memory_format: torch.memory_format) -> None:
        import torch

        self.memory_format = memory_format
        self.device, self.dtype, self.size_px, self.interpolation = (
            device,
            to_dtype(spec),
            spec.image_size_px,
            spec.interpolation,
        )
        std = torch.tensor(spec.std, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        mean = torch.tensor(spec.mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self.scale, self.shift = 1 / (255 * std), -mean / std

    def __call__(self, batch: np.ndarray | torch.Tensor) -> torch.Tensor:
        return self.normalised(self.on_device(batch))

    def on_device(self, batch: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Copy a batch to the device. Raises ValueError for anything but uint8, N × 3 × H × W."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(batch)) if isinstance(batch, np.ndarray) else batch
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"a batch is uint8, N × 3 × height × width, not {pixels.dtype} {tuple(pixels.shape)}")
        return pixels.to(self.device, non_blocking=True)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """The model's input, from bytes on its device."""
        import torch

        floats = pixels.to(torch.float32, memory_format=self.memory_format)
        if floats.shape[-2:] != (self.size_px, self.size_px) and len(floats):
            mode = self.interpolation if self.interpolation in ("bicubic", "bilinear") else "bicubic"
            floats = torch.nn.functional.interpolate(
                floats, size=(self.size_px, self.size_px), mode=mode, antialias=True
            ).clamp_(0, 255)
        return torch.addcmul(self.shift, floats, self.scale).to(self.dtype, memory_format=self.memory_format)
