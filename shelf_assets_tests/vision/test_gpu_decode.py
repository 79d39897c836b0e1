"""Decoding on a GPU: the same pictures as on the CPU, which decodes the photos that nvJPEG rejects.

Without a GPU torchvision's CPU decoder replaces nvJPEG behind the same call; rotating, resizing, cutting and falling back run the
same code as on a device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.io import ImageReadMode, decode_jpeg

from shelf_assets.vision import gpu_decode
from shelf_assets.vision.gpu_decode import NoGpu, tensors_on_gpu
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets.vision.reasons import Undecodable
from shelf_assets_tests.vision.pictures import difference, encoded, scene, turned

GPU = Geometry(decoder="gpu")


def decode(photos: list[torch.Tensor]) -> list[torch.Tensor]:
    found = decode_jpeg(photos, mode=ImageReadMode.RGB)
    assert isinstance(found, list)
    return found


def test_gpu_and_cpu_decoders_have_different_digests() -> None:
    assert GPU.digest() != Geometry().digest()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_gpu_turns_and_crops_like_the_cpu(fit: str, orientation: int) -> None:
    data = turned(scene(640, 480), orientation, quality=95)
    (found,) = tensors_on_gpu([data], Geometry(fit=fit, decoder="gpu"), decode)  # type: ignore[arg-type]
    assert isinstance(found, np.ndarray) and found.dtype == np.uint8
    expected = to_tensor(data, Geometry(fit=fit))  # type: ignore[arg-type]
    assert difference(found, expected) < 1.5, "a wrong orientation differs by tens of levels"


def test_gpu_decodes_real_photos_like_the_cpu(shared_data: Path) -> None:
    photos = [path.read_bytes() for path in sorted((shared_data / "phone-photos").glob("*.jpg"))[:4]]
    for data, found in zip(photos, tensors_on_gpu(photos, GPU, decode), strict=True):
        assert isinstance(found, np.ndarray)
        assert difference(found, to_tensor(data, Geometry())) < 1.0


def test_photo_refused_by_the_device_falls_back_to_the_cpu_alone() -> None:
    photos = [encoded(scene(300, 200)), encoded(scene(200, 300)), encoded(scene(250, 250))]
    refused = photos[1]
    calls: list[int] = []

    def picky(batch: list[torch.Tensor]) -> list[torch.Tensor]:
        calls.append(len(batch))
        if any(bytes(photo.numpy()) == refused for photo in batch):
            raise RuntimeError("nvjpegDecode failed: 5")
        return decode(batch)

    found = tensors_on_gpu(photos, GPU, picky)
    assert calls == [3, 1, 1, 1]
    assert np.array_equal(found[1], to_tensor(refused, Geometry()))  # type: ignore[arg-type]
    assert all(isinstance(each, np.ndarray) for each in found)


def test_other_formats_and_broken_files_do_not_end_the_batch() -> None:
    whole = encoded(scene(300, 200))
    photos = [
        encoded(scene(300, 200), "PNG"),
        whole,
        whole[:500],
        encoded(scene(300, 200), progressive=True),
        b"milk, eggs",
    ]
    batches: list[int] = []

    def counting(batch: list[torch.Tensor]) -> list[torch.Tensor]:
        batches.append(len(batch))
        return decode(batch)

    found = tensors_on_gpu(photos, GPU, counting)
    assert batches == [1], "only JPEGs with one scan are decoded on the device"
    assert [type(each) for each in found] == [np.ndarray, np.ndarray, Undecodable, np.ndarray, Undecodable]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_not_reported_as_a_broken_photo() -> None:
    with pytest.raises(NoGpu, match="SHELF_VISION_DECODER=cpu"):
        tensors_on_gpu([encoded(scene(300, 200))], GPU)


def test_gpu_decoding_is_announced_as_experimental_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    gpu_decode._nvjpeg.cache_clear()
    try:
        with caplog.at_level("WARNING"):
            assert [tensors_on_gpu([], GPU), tensors_on_gpu([], GPU)] == [[], []]
    finally:
        gpu_decode._nvjpeg.cache_clear()
    assert caplog.text.count("experimental") == 1
