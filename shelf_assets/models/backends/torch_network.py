"""Models in torch: on a GPU with copies and arithmetic in parallel, or on a CPU."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from shelf_assets.models.backends import PendingOutputs
from shelf_assets.models.backends.graph import PixelsToOutputs
from shelf_assets.models.classifier import Classifier
from shelf_assets.models.embedder import Embedder

_log = logging.getLogger(__name__)
CPU_BATCH_IMAGES = 16
# Batch sizes to try on a GPU, as long as each is faster than the one before by this factor.
GPU_BATCHES = (32, 64, 128, 256, 512)
_WORTH_DOUBLING = 1.05
_PROBE_SIDE_PX = 224


class TorchNetwork:
    """A torch model from bytes to outputs. On CUDA, copies and arithmetic of a batch run asynchronously in one stream.

    `batch_images` 0 lets a GPU find its best batch. `compiled` uses torch.compile: minutes at the first batch; experimental.
    """

    def __init__(self, loaded: Classifier | Embedder, batch_images: int = 0, compiled: bool = False) -> None:
        self._device: torch.device = loaded.device
        graph: Any = PixelsToOutputs(loaded).eval()
        if compiled:
            _log.warning("SHELF_MODELS_TORCH_COMPILE is experimental: its speed and accuracy have not been measured")
        self._graph = torch.compile(graph) if compiled else graph
        self.on_gpu = self._device.type == "cuda"
        self.device = f"{self._device} ({torch.cuda.get_device_name(self._device)})" if self.on_gpu else "cpu"
        self._stream = torch.cuda.Stream(self._device) if self.on_gpu else None
        if batch_images:
            self.batch_images = batch_images
        elif self.on_gpu:
            self.batch_images = best_batch(self._images_per_second, GPU_BATCHES)
        else:
            self.batch_images = CPU_BATCH_IMAGES

    def submit(self, pixels: np.ndarray) -> PendingOutputs:
        """Start a batch. On CUDA the next batch may be submitted before the outputs of this one are collected."""
        if not self.on_gpu:
            with torch.inference_mode():
                outputs = self._graph(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()
            return lambda: outputs
        return halving(self._submit_to_gpu, pixels)

    def _submit_to_gpu(self, pixels: np.ndarray) -> PendingOutputs:
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            # Only copies from pinned memory run in parallel with arithmetic; the caching allocator reuses it.
            held = torch.from_numpy(np.ascontiguousarray(pixels)).pin_memory()
            outputs = self._graph(held.to(self._device, non_blocking=True))
            back = torch.empty(outputs.shape, dtype=outputs.dtype, pin_memory=True)
            back.copy_(outputs, non_blocking=True)
            is_copied = torch.cuda.Event()
            is_copied.record(self._stream)

        def pending() -> np.ndarray:
            is_copied.synchronize()
            return back.numpy()

        return pending

    def _images_per_second(self, batch_images: int) -> float:
        batch = np.zeros((batch_images, 3, _PROBE_SIDE_PX, _PROBE_SIDE_PX), np.uint8)
        self._submit_to_gpu(batch)()  # warm-up: kernels are selected in the first run
        started = time.perf_counter()
        for pending in [self._submit_to_gpu(batch) for _ in range(3)]:
            pending()
        return 3 * batch_images / (time.perf_counter() - started)


def best_batch(images_per_second: Callable[[int], float], sizes: tuple[int, ...]) -> int:
    """The batch size beyond which larger ones are hardly faster or do not fit; `images_per_second` measures one."""
    best, rate = sizes[0], 0.0
    for size in sizes:
        try:
            found = images_per_second(size)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        if found < rate * _WORTH_DOUBLING:
            break
        best, rate = size, found
    return best


def halving(submit: Callable[[np.ndarray], PendingOutputs], pixels: np.ndarray) -> PendingOutputs:
    """Submit a batch, in halves if memory is short: other processes may use more than when the batch size was chosen."""
    try:
        return submit(pixels)
    except torch.OutOfMemoryError:
        if len(pixels) == 1:
            raise
        torch.cuda.empty_cache()
    middle = len(pixels) // 2
    # One after the other, because both at once would need the memory that is missing.
    first = halving(submit, pixels[:middle])()
    second = halving(submit, pixels[middle:])()
    return lambda: np.concatenate([first, second])
