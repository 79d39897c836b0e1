"""Precision is part of the digest, so it must not depend on the pod that resolves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelf_assets.models import precision
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import require_together, resolve_backend, resolve_precision


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without CUDA, with CPU flags that the test writes."""
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(precision, "_NVIDIA_DEVICE", tmp_path / "nvidiactl")
    return tmp_path


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("model\t: x\nflags\t\t: fpu avx2 avx512f avx512_bf16\n", "bf16"),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", "bf16"),
        ("Features\t: fp asimd bf16\n", "bf16"),
        ("flags\t\t: fpu avx2 avx512f\n", "fp32"),
        ("flags\t\t: fpu avx2\nbugs\t\t: avx512_bf16\n", "fp32"),
    ],
)
def test_bf16_is_chosen_only_where_the_cpu_computes_it(machine: Path, cpuinfo: str, expected: str) -> None:
    (machine / "cpuinfo").write_text(cpuinfo)
    assert resolve_precision("auto") == expected


def test_machine_without_cpuinfo_gets_fp32(machine: Path) -> None:
    assert resolve_precision("auto") == "fp32"


def test_cuda_means_bf16_unless_the_cpu_was_asked_for(machine: Path) -> None:
    (machine / "nvidiactl").touch()
    assert (resolve_precision("auto"), resolve_precision("auto", device="cpu")) == ("bf16", "fp32")


def test_planning_pod_and_gpu_pod_resolve_the_same_precision(machine: Path) -> None:
    planning = resolve_precision("auto", on_cluster=True)
    (machine / "nvidiactl").touch()
    assert planning == resolve_precision("auto", on_cluster=True) == "bf16"


def test_requested_precision_is_kept(machine: Path) -> None:
    assert resolve_precision("fp32", device="cuda", on_cluster=True) == "fp32"


def test_planning_pod_and_gpu_pod_resolve_the_same_backend(machine: Path) -> None:
    planning = resolve_backend("auto", on_cluster=True)
    (machine / "nvidiactl").touch()
    assert planning == resolve_backend("auto", on_cluster=True) == "torch"


def test_cpu_backend_on_a_gpu_is_refused(machine: Path) -> None:
    (machine / "nvidiactl").touch()
    assert resolve_backend("auto") == "torch"
    with pytest.raises(ModelError, match="SHELF_MODELS_BACKEND=openvino runs on CPUs"):
        resolve_backend("openvino", device="cuda:0")


def test_missing_backend_is_refused_at_start(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    assert resolve_backend("auto") == "torch"
    with pytest.raises(ModelError, match=r"pip install .shelf-assets\[models\]"):
        resolve_backend("openvino")


@pytest.mark.parametrize(("backend", "precision"), [("torch", "int8"), ("openvino", "fp16"), ("torch", "fp16")])
def test_precision_unsupported_by_its_backend_is_refused(machine: Path, backend: str, precision: str) -> None:
    with pytest.raises(ModelError, match=f"SHELF_MODELS_PRECISION={precision}"):
        require_together(backend, precision, "cpu")  # type: ignore[arg-type]
