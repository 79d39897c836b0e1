"""The resampler is Pillow's bicubic for any box, and exact: no order of summation changes a byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from shelf_assets.vision.resize import _make_bands, resize
from shelf_assets_tests.vision.pictures import difference, scene

BOXES = [
    ((348, 348), (0, 0, 348, 348), (224, 224)),
    ((464, 348), (58, 0, 406, 348), (224, 224)),
    ((464, 348), (58.25, 0, 406.25, 347.5), (224, 224)),
    ((1008, 756), (125.7, 0.3, 882.1, 755.9), (224, 224)),
    ((100, 80), (10, 0, 90, 80), (224, 224)),
    ((1000, 50), (0, 0, 1000, 50), (11, 224)),
    ((61, 47), (3, 5, 8, 9), (33, 15)),
]


@pytest.mark.parametrize(("size", "box", "target"), BOXES)
def test_resize_equals_pillow_bicubic(
    size: tuple[int, int], box: tuple[float, float, float, float], target: tuple[int, int]
) -> None:
    image = scene(*size)
    expected = image.resize(target[::-1], Image.Resampling.BICUBIC, box=box)
    resized = resize(np.asarray(image), box, target)
    expected_planes = np.asarray(expected).transpose(2, 0, 1)
    assert difference(resized, expected_planes) < 0.25
    assert np.abs(resized.astype(int) - expected_planes).max() <= 12, "they differ only where overshoot is clipped"


@pytest.mark.parametrize(("size", "box", "target"), BOXES)
def test_resize_is_exact_in_any_order_of_summation(
    size: tuple[int, int], box: tuple[float, float, float, float], target: tuple[int, int]
) -> None:
    """Compared with the same weights in 64-bit integers, which are never rounded."""
    picture = np.asarray(scene(*size))
    down = _make_bands(picture.shape[0], box[1], box[3], target[0])
    across = _make_bands(picture.shape[1], box[0], box[2], target[1])
    units = 1 << 14
    rows = np.zeros((target[0], *picture.shape[1:]), np.int64)
    for band in down:
        weights = (band.weights.astype(np.float64) * units).astype(np.int64)
        assert (weights == band.weights.astype(np.float64) * units).all(), "weights are whole multiples of 2^-14"
        assert (weights.sum(axis=1) == units).all()
        rows[band.first : band.last] = np.einsum(
            "or,rwc->owc", weights, picture[band.start : band.stop].astype(np.int64)
        )
    rows = np.rint(rows / units).astype(np.int64)
    result = np.zeros((*target, 3), np.int64)
    for band in across:
        weights = (band.weights.astype(np.float64) * units).astype(np.int64)
        result[:, band.first : band.last] = np.einsum("or,wrc->woc", weights, rows[:, band.start : band.stop])
    expected = np.clip(np.rint(result / units), 0, 255).astype(np.uint8).transpose(2, 0, 1)
    np.testing.assert_array_equal(resize(picture, box, target), expected)


def test_worst_case_sums_fit_24_bits() -> None:
    """Black and white pixels follow the lobes of the filter, which gives the largest partial sums."""
    for scale in (0.5, 1.0, 1.7, 3.3):
        bands = _make_bands(400, 0, 224 * scale if 224 * scale < 400 else 400, 224)
        for band in bands:
            most = float(np.abs(band.weights.astype(np.float64)).sum(axis=1).max())
            assert 255 * most * most * (1 << 14) < 1 << 24


def test_threads_resize_independently() -> None:
    pictures = [np.asarray(scene(300 + 40 * number, 260)) for number in range(5)]
    alone = [resize(picture, (0, 0, 260, 260), (224, 224)) for picture in pictures]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda picture: resize(picture, (0, 0, 260, 260), (224, 224)), pictures * 10))
    for number, resized in enumerate(together):
        np.testing.assert_array_equal(resized, alone[number % 5])


def test_view_of_a_larger_array_is_resized_correctly() -> None:
    whole = np.asarray(scene(200, 150))
    part = whole[10:140, 20:180]
    np.testing.assert_array_equal(
        resize(part, (0, 0, 160, 130), (50, 60)), resize(part.copy(), (0, 0, 160, 130), (50, 60))
    )
