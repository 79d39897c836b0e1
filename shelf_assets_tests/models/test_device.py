"""The last step of preprocessing, on the device: the usual normalisation, and a resize only if sizes differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from shelf_assets.models.device import PixelInput, memory_format_of
from shelf_assets.models.spec import ModelSpec

SPEC = ModelSpec(
    task="classifier",
    model_id="x",
    architecture="x",
    pretrained="",
    source="random",
    files=(),
    precision="fp32",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    interpolation="bicubic",
    image_size_px=224,
)


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), np.uint8)


def test_pixels_are_normalised_as_torchvision_does_it(batch: np.ndarray) -> None:
    theirs = functional.normalize(torch.from_numpy(batch).float() / 255, list(SPEC.mean), list(SPEC.std))
    ours = PixelInput(SPEC, torch.device("cpu"), torch.channels_last)(batch)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_other_sizes_are_resized_with_antialias_and_stay_within_pixel_range(batch: np.ndarray) -> None:
    ours = PixelInput(replace(SPEC, image_size_px=96), torch.device("cpu"), torch.channels_last)(batch)
    small = functional.resize(
        torch.from_numpy(batch).float(), [96, 96], interpolation=functional.InterpolationMode.BICUBIC
    )
    theirs = functional.normalize(small.clamp(0, 255) / 255, list(SPEC.mean), list(SPEC.std))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_strided_views_are_read_correctly(batch: np.ndarray) -> None:
    pixels = PixelInput(SPEC, torch.device("cpu"), torch.channels_last)
    mirrored = batch[:, :, :, ::-1]
    torch.testing.assert_close(pixels(mirrored), pixels(np.ascontiguousarray(mirrored)))


def test_bf16_is_normalised_in_fp32_first(batch: np.ndarray) -> None:
    fine = PixelInput(SPEC, torch.device("cpu"), torch.channels_last)(batch)
    rough = PixelInput(replace(SPEC, precision="bf16"), torch.device("cpu"), torch.channels_last)(batch)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough, fine.to(torch.bfloat16), atol=0, rtol=0)


def test_channels_last_is_used_for_convolutions_only() -> None:
    patches = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 16, 16), torch.nn.Linear(8, 8))
    convolutions = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3))
    assert memory_format_of(patches) is torch.contiguous_format
    assert memory_format_of(convolutions) is torch.channels_last
