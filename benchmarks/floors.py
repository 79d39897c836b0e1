"""Limits for any pipeline around these models, measured in the same run: rate of arithmetic, fidelity of the decode."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from benchmarks.baselines import GEOMETRY
from benchmarks.meters import Span, timed
from benchmarks.place import Place
from benchmarks.plain_baseline import exact_pixels
from shelf_assets.vision.preprocess import to_tensor

_REPEATS = 5
# A square matrix product, and a convolution of ResNet-50's second stage.
_SIDE = 2048
_PRODUCT_FLOP = 2 * _SIDE**3
_IMAGES, _CHANNELS, _IMAGE_PX = 16, 128, 56
_CONVOLUTION_FLOP = 2 * _IMAGES * _IMAGE_PX**2 * _CHANNELS**2 * 9

Work = tuple[Callable[[], object], int]


def peak_gflops(precision: str) -> float:
    """The highest GFLOP per core-second of torch or OpenVINO over plain matrix products and convolutions."""
    works = list(_openvino_works(precision)) if find_spec("openvino") else []
    if precision != "int8":
        works += _torch_works(torch.bfloat16 if precision == "bf16" else torch.float32)
    return max((_best_gflops(work, flop) for work, flop in works), default=0.0)


def _best_gflops(work: Callable[[], object], flop: int) -> float:
    best = 0.0
    work()
    for _ in range(_REPEATS):
        span = Span()
        with timed(span):
            work()
        best = max(best, flop / span.cpu_seconds / 1e9)
    return best


def _torch_works(dtype: torch.dtype) -> Iterator[Work]:
    left = torch.rand(_SIDE, _SIDE).to(dtype)
    image = torch.rand(_IMAGES, _CHANNELS, _IMAGE_PX, _IMAGE_PX).to(dtype=dtype, memory_format=torch.channels_last)
    kernel = torch.rand(_CHANNELS, _CHANNELS, 3, 3).to(dtype=dtype, memory_format=torch.channels_last)
    yield lambda: torch.mm(left, left), _PRODUCT_FLOP
    yield lambda: torch.conv2d(image, kernel, padding=1), _CONVOLUTION_FLOP


def _openvino_works(precision: str) -> Iterator[Work]:
    from shelf_assets.models.backends.openvino_network import import_openvino

    ov = import_openvino()
    ops = ov.opset13
    random = np.random.default_rng(0)

    def quantized(node: Any, low: float, high: float, levels: int) -> Any:
        if precision != "int8":
            return node
        ends = [ops.constant(np.float32(end)) for end in (low, high, low, high)]
        return ops.fake_quantize(node, *ends, levels)

    def compiled(shape: tuple[int, ...], weights: tuple[int, ...], build: Callable[..., Any]) -> Callable[[], object]:
        given = ops.parameter(list(shape), np.float32)
        kernel = ops.constant(random.random(weights, np.float32) - np.float32(0.5))
        node = build(quantized(given, 0, 1, 256), quantized(kernel, -0.5, 0.5, 255))
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,
        }
        request = ov.Core().compile_model(ov.Model([node], [given]), "CPU", options).create_infer_request()
        pixels = random.random(shape, np.float32)
        return lambda: request.infer([pixels])

    yield (
        compiled((_SIDE, _SIDE), (_SIDE, _SIDE), lambda left, right: ops.matmul(left, right, False, False)),
        _PRODUCT_FLOP,
    )
    yield (
        compiled(
            (_IMAGES, _CHANNELS, _IMAGE_PX, _IMAGE_PX),
            (_CHANNELS, _CHANNELS, 3, 3),
            lambda image, kernel: ops.convolution(image, kernel, [1, 1], [1, 1], [1, 1], [1, 1]),
        ),
        _CONVOLUTION_FLOP,
    )


def fidelity(place: Place, photos: int) -> dict[str, float]:
    """How far the product's tensors are from the exact Pillow path (full decode, bicubic), in steps of 255."""
    objects = place.photos().objects
    keys = sorted(stored.key for stored in objects.list(place.prefix))[:photos]
    differences = []
    for key in keys:
        data = objects.get(key)
        exact = exact_pixels(io.BytesIO(data)).astype(np.int16)
        differences.append(float(np.abs(to_tensor(data, GEOMETRY).astype(np.int16) - exact).mean()))
    return {"photos": len(keys), "mean": float(np.mean(differences)), "most_of_a_photo": max(differences)}
