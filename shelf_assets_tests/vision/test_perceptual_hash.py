"""Perceptual hashes: copies are near, other photos are far, flat pictures have none."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.vision.perceptual_hash import distance, perceptual_hash
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets_tests.vision.pictures import encoded, scene

BITS = PhotoSettings.model_fields["near_duplicate_bits"].default
GEOMETRY = Geometry()

COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "sent on by a messenger": lambda image: encoded(image, quality=40),
    "as WebP": lambda image: encoded(image, "WEBP", quality=70),
    "half as large": lambda image: encoded(image.resize((image.width // 2, image.height // 2)), quality=85),
    "larger by half": lambda image: encoded(image.resize((image.width * 3 // 2, image.height * 3 // 2)), quality=85),
    "brightened": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.15)),
    "darkened": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.8)),
    "of more contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(1.15)),
    "without colours": lambda image: encoded(image.convert("L").convert("RGB")),
}


def looks(data: bytes) -> int:
    found = perceptual_hash(to_tensor(data, GEOMETRY))
    assert found is not None
    return found


def tensor_of(luma: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.clip(luma, 0, 255).astype(np.uint8), (3, *luma.shape)).copy()


@pytest.fixture(scope="module")
def grocery(shared_data: Path) -> list[Path]:
    """Every sixth validation photo."""
    root = shared_data / "grocery"
    return [root / line.split(",")[0].strip() for line in (root / "val.txt").read_text().splitlines()[::6]]


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_changed_copy_of_a_scene_is_near_its_original(change: Callable[[Image.Image], bytes]) -> None:
    for width, height in ((800, 600), (600, 800), (501, 333)):
        assert distance(looks(encoded(scene(width, height))), looks(change(scene(width, height)))) <= BITS


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_changed_copy_of_a_grocery_photo_is_near_its_original(
    change: Callable[[Image.Image], bytes], grocery: list[Path]
) -> None:
    for path in grocery[::4]:
        original = looks(path.read_bytes())
        with Image.open(path) as image:
            assert distance(original, looks(change(image.convert("RGB")))) <= BITS, path.name


def test_different_grocery_photos_are_far_apart(grocery: list[Path]) -> None:
    """Of all 2,936 photos, 5 of 4.3 million pairs are within 4 bits: bursts of one product in front of one shelf."""
    hashes = [looks(path.read_bytes()) for path in grocery]
    found = [distance(*pair) for pair in combinations(hashes, 2)]
    assert len(found) > 1000
    assert sum(each <= BITS for each in found) <= 1
    assert 28 < np.mean(found) < 36, "unrelated photos differ in half of the bits"


@pytest.mark.parametrize(
    "luma",
    [
        np.full((224, 224), 90),
        np.random.default_rng(1).normal(128, 4, (224, 224)),
        np.tile(np.linspace(0, 255, 224), (224, 1)),
        np.where(np.arange(224) < 100, 20, 230)[None, :].repeat(224, 0),
    ],
    ids=["one colour", "a lens cap's noise", "a gradient", "two halves"],
)
def test_flat_pictures_have_no_hash(luma: np.ndarray) -> None:
    tensor = tensor_of(luma)
    assert perceptual_hash(tensor) is None
    file = io.BytesIO()
    Image.fromarray(tensor.transpose(1, 2, 0)).save(file, "JPEG", quality=30)
    assert perceptual_hash(to_tensor(file.getvalue(), GEOMETRY)) is None, "compression noise does not count"


@pytest.mark.parametrize("size", [32, 100, 224, 336])
def test_hash_is_near_for_every_tensor_size(size: int) -> None:
    data = encoded(scene(900, 900))
    found = perceptual_hash(to_tensor(data, Geometry(size_px=size)))
    assert found is not None and distance(found, looks(data)) <= BITS


def test_hash_bits_are_fixed_and_fit_int64() -> None:
    """Only whole numbers are used, so these bits are the same on every processor and BLAS library."""
    found = {size: perceptual_hash(tensor_of(_waves(size))) for size in (32, 100, 224)}
    assert found == {32: 8701068615559508580, 100: 8998301792908948326, 224: 8998231428459737958}
    assert all(-(2**63) <= bits < 2**63 for bits in found.values() if bits is not None)


def _waves(size: int) -> np.ndarray:
    """Triangle waves of whole numbers, which are the same everywhere."""
    y, x = np.mgrid[:size, :size] * 224 // size
    return (abs(3 * x % 160 - 80) + abs((5 * y + x) % 220 - 110) + abs((x * y // 64) % 120 - 60)) * 255 // 250


def test_distance_counts_the_sign_bit() -> None:
    assert distance(0, 0) == 0
    assert distance(-1, 0) == 64
    assert distance(-(2**63), 0) == distance(2**63 - 1, -1) == 1


def test_perceptual_hash_imports_no_heavy_library() -> None:
    code = "import shelf_assets.vision.perceptual_hash, sys; print(*{'torch', 'dagster', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
