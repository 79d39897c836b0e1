"""Which number format the weights get: decided from the machine's flags, without torch. How it is used is in
the models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "bf16"]
AskedPrecision = Literal["auto", "fp32", "bf16"]

# Without one of these a CPU emulates bf16, several times slower than fp32. "bf16" alone is Arm's flag.
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA_DEVICE = Path("/dev/nvidiactl")


def resolve_precision(asked: AskedPrecision, *, device: str = "auto", on_cluster: bool = False) -> Precision:
    """The precision that `auto` means here: bf16 on CUDA and on CPUs with bf16 arithmetic, else fp32.

    On a cluster `auto` is always bf16. Precision is part of the model's digest, and a pod that plans on a
    small CPU must name the same keys as the GPU pod that computes them.
    """
    if asked != "auto":
        return asked
    if on_cluster or device.startswith("cuda") or (device == "auto" and _NVIDIA_DEVICE.exists()):
        return "bf16"
    return "bf16" if _BF16_FLAGS & cpu_flags() else "fp32"


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux tells them; empty where there is no /proc/cpuinfo."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.split(":")[0].strip() in ("flags", "Features")), ":")
    return frozenset(flags.partition(":")[2].split())
