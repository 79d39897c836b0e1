"""The models alone on tensors that lie ready in memory: the floor that no pipeline around them can go below."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms.functional import normalize

from shelf_assets.vision.models.device import memory_format_of
from shelf_assets_tests.bench.meters import Span, timed
from shelf_assets_tests.bench.plain_way import PlainModels
from shelf_assets_tests.bench.ways import TOP_K, Models, Outcome

# Multiply-adds of one 224 px image times two; ResNet-50 (v1.5) 4.1 G, ViT-B/32 4.4 G.
GFLOP_PER_IMAGE = {"classifier": 2 * 4.1, "embedder": 2 * 4.4}


def run_uint8(tensors: np.ndarray, models: Models) -> Outcome:
    """Both models as the product runs them: uint8 in, labels and vectors out, same batch size and precision."""
    total, stages = Span(), {"classifier": Span(), "embedder": Span()}
    with timed(total):
        for batch in _batches(tensors, models.batch_size):
            with timed(stages["classifier"]):
                models.classifier.predict(batch, top_k=TOP_K)
            with timed(stages["embedder"]):
                models.embedder.embed_images(batch)
    return Outcome(len(tensors), total, stages)


def run_eager(tensors: np.ndarray, models: PlainModels) -> Outcome:
    """Both models as the plain way runs them, on float32 that lies ready: what its forward passes alone cost."""
    unit = torch.from_numpy(tensors).float() / 255
    floats = [normalize(unit, spec.mean, spec.std) for spec in models.specs]
    total, stages = Span(), {"classifier": Span(), "embedder": Span()}
    with torch.no_grad(), timed(total):
        for start in range(0, len(tensors), models.batch_size):
            with timed(stages["classifier"]):
                models.classify(floats[0][start : start + models.batch_size])
            with timed(stages["embedder"]):
                models.embed(floats[1][start : start + models.batch_size])
    return Outcome(len(tensors), total, stages)


def layouts(tensors: np.ndarray, models: Models, repeats: int = 3) -> dict[str, float]:
    """CPU-ms per image of each model in each memory layout, one batch: shows a layout that does harm."""
    found: dict[str, float] = {}
    batch = tensors[: models.batch_size]
    for name, module, call in (
        ("classifier", models.classifier.model, lambda pixels: models.classifier.predict(pixels, top_k=TOP_K)),
        ("embedder", models.embedder.model.visual, models.embedder.embed_images),
    ):
        pixels_of = models.classifier.pixels if name == "classifier" else models.embedder.pixels
        for layout, memory_format in (("default", torch.contiguous_format), ("channels_last", torch.channels_last)):
            module.to(memory_format=memory_format)
            inner = module if name == "classifier" else models.embedder.model.encode_image
            with torch.inference_mode():
                ready = pixels_of(batch).contiguous(memory_format=memory_format)
                spent = []
                for _ in range(repeats + 1):
                    span = Span()
                    with timed(span):
                        inner(ready)
                    spent.append(span.cpu_seconds)
            found[f"{name} {layout}"] = 1000 * sorted(spent[1:])[repeats // 2] / len(batch)
        module.to(memory_format=memory_format_of(module))
        call(batch)
    return found


def peak_gflops(dtype: torch.dtype) -> float:
    """The most arithmetic of this type that torch got out of a core-second: the best of a matrix product and a convolution."""
    best = 0.0
    left = torch.rand(1024, 1024).to(dtype)
    image = torch.rand(8, 128, 56, 56).to(dtype=dtype, memory_format=torch.channels_last)
    kernel = torch.rand(128, 128, 3, 3).to(dtype=dtype, memory_format=torch.channels_last)
    works = (
        (lambda: torch.mm(left, left), 2 * 1024**3),
        (lambda: torch.conv2d(image, kernel, padding=1), 2 * 8 * 56 * 56 * 128 * 128 * 9),
    )
    with torch.inference_mode():
        for work, flop in works:
            work()
            for _ in range(5):
                span = Span()
                with timed(span):
                    work()
                    work()
                best = max(best, 2 * flop / span.cpu_seconds / 1e9)
    return best


def _batches(tensors: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [tensors[start : start + batch_size] for start in range(0, len(tensors), batch_size)]
