"""Models in torch: on a GPU with copies beside the arithmetic, on a CPU as they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from shelf_assets.models.backends import Answer
from shelf_assets.models.backends.graph import PixelsToOutputs
from shelf_assets.models.classifier import Classifier
from shelf_assets.models.embedder import Embedder

CPU_BATCH_IMAGES = 16
# A GPU is tried with ever larger batches from the first on, as long as each is this much faster than the one before.
GPU_BATCHES = (32, 64, 128, 256, 512)
_WORTH_DOUBLING = 1.05
_PROBE_SIDE_PX = 224


class TorchNetwork:
    """A torch model from bytes to outputs. On CUDA the copy of a batch, its arithmetic and the way back are one stream of work.

    `batch_images` 0 lets a GPU find its own; `compiled` hands the model to torch.compile, which costs minutes at first.
    """

    def __init__(self, loaded: Classifier | Embedder, batch_images: int = 0, compiled: bool = False) -> None:
        self._device: torch.device = loaded.device
        graph: Any = PixelsToOutputs(loaded).eval()
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

    def submit(self, pixels: np.ndarray) -> Answer:
        """Outputs of a batch. On CUDA they are under way: the next batch may be submitted before they are asked for."""
        if not self.on_gpu:
            with torch.inference_mode():
                outputs = self._graph(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()
            return lambda: outputs
        return halving(self._submit_to_gpu, pixels)

    def _submit_to_gpu(self, pixels: np.ndarray) -> Answer:
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            # Pinned memory is what a copy can run beside arithmetic from; the caching allocator hands it on.
            held = torch.from_numpy(np.ascontiguousarray(pixels)).pin_memory()
            outputs = self._graph(held.to(self._device, non_blocking=True))
            back = torch.empty(outputs.shape, dtype=outputs.dtype, pin_memory=True)
            back.copy_(outputs, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record(self._stream)

        def answer() -> np.ndarray:
            arrived.synchronize()
            return back.numpy()

        return answer

    def _images_per_second(self, batch_images: int) -> float:
        batch = np.zeros((batch_images, 3, _PROBE_SIDE_PX, _PROBE_SIDE_PX), np.uint8)
        self._submit_to_gpu(batch)()  # choosing kernels is not what is measured
        started = time.perf_counter()
        for answer in [self._submit_to_gpu(batch) for _ in range(3)]:
            answer()
        return 3 * batch_images / (time.perf_counter() - started)


def best_batch(images_per_second: Callable[[int], float], sizes: tuple[int, ...]) -> int:
    """The size beyond which a larger batch is hardly faster, or does not fit: `images_per_second` tries one."""
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


def halving(submit: Callable[[np.ndarray], Answer], pixels: np.ndarray) -> Answer:
    """Submit a batch, in halves where memory does not suffice: others may have taken it since the batch was chosen."""
    try:
        return submit(pixels)
    except torch.OutOfMemoryError:
        if len(pixels) == 1:
            raise
        torch.cuda.empty_cache()
    middle = len(pixels) // 2
    # One after the other: both at once would need what has just been missing.
    first = halving(submit, pixels[:middle])()
    second = halving(submit, pixels[middle:])()
    return lambda: np.concatenate([first, second])
