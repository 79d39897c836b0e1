"""Precision and backend of the models, decided from the machine without torch. `backends` uses them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from shelf_assets.models.errors import ModelError

Precision = Literal["fp32", "bf16", "fp16", "int8"]
RequestedPrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
Backend = Literal["torch", "openvino"]
RequestedBackend = Literal["auto", "torch", "openvino"]

# fp16 needs a GPU; int8 is calibrated for OpenVINO only.
PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "torch": ("fp32", "bf16", "fp16"),
    "openvino": ("fp32", "bf16", "int8"),
}

# A CPU without one of these flags emulates bf16, several times slower than fp32. "bf16" is the flag of Arm CPUs.
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA_DEVICE = Path("/dev/nvidiactl")


def resolve_precision(requested: RequestedPrecision, *, device: str = "auto", on_cluster: bool = False) -> Precision:
    """The precision to use. `auto` is bf16 on CUDA and on CPUs with bf16 arithmetic, else fp32.

    `auto` is never int8, which has to be calibrated first (`shelf calibrate`). On a cluster `auto` is always bf16: precision is
    part of the model's digest, and a pod that plans on a small CPU must use the same keys as the GPU pod that computes.
    """
    if requested != "auto":
        return requested
    if on_cluster or on_gpu(device):
        return "bf16"
    return "bf16" if has_bf16() else "fp32"


def resolve_backend(requested: RequestedBackend, *, device: str = "auto", on_cluster: bool = False) -> Backend:
    """The backend to use. `auto` is torch on GPUs, OpenVINO on CPUs if it is installed, else torch.

    On a cluster `auto` is torch: the backend is part of the model's digest, and pods with and without a GPU must use the same
    keys. Raises ModelError for a backend that cannot run here.
    """
    if requested == "auto":
        return "torch" if on_cluster or on_gpu(device) or find_spec("openvino") is None else "openvino"
    if requested == "openvino" and find_spec("openvino") is None:
        raise ModelError(
            "SHELF_MODELS_BACKEND=openvino, but OpenVINO is not installed: pip install 'shelf-assets[models]'"
        )
    if requested == "openvino" and device.startswith("cuda"):
        raise ModelError(
            f"SHELF_MODELS_BACKEND=openvino runs on CPUs, not on SHELF_MODELS_DEVICE={device}: choose torch or another device"
        )
    return requested


def require_together(backend: Backend, precision: Precision, device: str) -> None:
    """Raise ModelError for a precision that the backend does not support."""
    if precision not in PRECISIONS[backend]:
        supported = ", ".join(PRECISIONS[backend])
        raise ModelError(
            f"SHELF_MODELS_PRECISION={precision} is not supported by the backend {backend}: choose {supported}"
        )
    if precision == "fp16" and not on_gpu(device):
        raise ModelError("SHELF_MODELS_PRECISION=fp16 needs a GPU: on CPUs choose bf16 or fp32")


def on_gpu(device: str) -> bool:
    """Whether a device setting refers to a GPU on this machine."""
    return device.startswith("cuda") or (device == "auto" and _NVIDIA_DEVICE.exists())


def has_bf16() -> bool:
    """Whether this CPU computes in bf16 rather than emulating it."""
    return bool(_BF16_FLAGS & cpu_flags())


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags from /proc/cpuinfo; empty on systems without it."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.split(":")[0].strip() in ("flags", "Features")), ":")
    return frozenset(flags.partition(":")[2].split())
