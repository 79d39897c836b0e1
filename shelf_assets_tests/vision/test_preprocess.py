"""A photo's tensor is the crop, padding or squash of the upright picture, and all ways of making it give the same pixels."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image

from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.lake.tensor_store import Tensor, TensorDay
from shelf_assets.training.projection_data import Towers
from shelf_assets.vision.engine import batched
from shelf_assets.vision.photo_pixels import pixels_of
from shelf_assets.vision.preprocess import Geometry, Undecodable, tensor_digest, to_tensor
from shelf_assets.vision.reasons import Reason
from shelf_assets_tests.vision.pictures import difference, encoded, exact, faded, png16, scene, turned

CROP, PAD, SQUASH = Geometry(fit="crop"), Geometry(fit="pad"), Geometry(fit="squash")
# Difference between two ways without shrinking on load: rounding errors, once more per pass.
ROUNDING = 0.25
# With shrinking on load: a DCT-scaled decode and one filter in place of a full decode and one filter. A window that is off by
# one pixel differs by more than 3 on these scenes, which the tests check.
SHRINKING = 1.3

# Odd and even, wide and tall, enlarged and shrunk, with and without a remainder when halved.
SIZES = [(224, 224), (225, 224), (348, 464), (464, 348), (199, 301), (97, 60), (350, 251), (640, 481), (895, 1001)]
SHRUNK_SIZES = [(1000, 1333), (1201, 901), (1803, 1795), (2017, 1513)]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", SIZES)
def test_crop_is_exact_to_the_pixel(size: tuple[int, int], orientation: int) -> None:
    data = turned(scene(*size), orientation, "PNG", compress_level=1)
    tensor = to_tensor(data, CROP)
    expected = exact(data)
    assert difference(tensor, expected) <= ROUNDING
    for axis in (1, 2):
        assert difference(np.roll(tensor, 1, axis), expected) > 4 * ROUNDING


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("size", SHRUNK_SIZES)
def test_shrinking_on_load_keeps_the_crop_in_place(size: tuple[int, int], orientation: int) -> None:
    data = turned(scene(*size), orientation, quality=95, subsampling=0)
    tensor = to_tensor(data, CROP)
    expected = exact(data)
    assert difference(tensor, expected) <= SHRINKING
    for axis in (1, 2):
        assert difference(np.roll(tensor, 1, axis), expected) > 2 * SHRINKING


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_photo_gives_the_upright_tensor(fit: str, orientation: int) -> None:
    geometry = Geometry(fit=fit)  # type: ignore[arg-type]
    upright = to_tensor(turned(scene(350, 251), 1, "PNG"), geometry)
    tensor = to_tensor(turned(scene(350, 251), orientation, "PNG"), geometry)
    # Equal except for the order in which rows and columns are rounded.
    assert np.abs(tensor.astype(int) - upright).max() <= 2
    assert difference(tensor, upright) <= ROUNDING


def test_padding_keeps_the_whole_picture_centred() -> None:
    photo = scene(300, 200)
    tensor = to_tensor(encoded(photo, "PNG"), PAD)
    bar = (224 - 149) // 2
    assert (tensor[:, :bar] == PAD.pad_value).all()
    assert (tensor[:, bar + 149 :] == PAD.pad_value).all()
    expected = np.asarray(photo.resize((224, 149), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert difference(tensor[:, bar : bar + 149], expected) <= ROUNDING
    tall = to_tensor(encoded(photo.transpose(Image.Transpose.ROTATE_90), "PNG"), replace(PAD, pad_value=0))
    assert (tall[:, :, :bar] == 0).all()
    assert tall[:, :, bar + 5].any()


def test_squash_keeps_the_whole_picture() -> None:
    photo = scene(300, 200)
    expected = np.asarray(photo.resize((224, 224), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert difference(to_tensor(encoded(photo, "PNG"), SQUASH), expected) <= ROUNDING


@pytest.mark.parametrize("geometry", [CROP, PAD, SQUASH, Geometry(size_px=32), Geometry(size_px=225)])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 1), (3_000, 1), (1, 3_000), (7, 20_000), (20_000, 500), (225, 224)]
)
def test_extreme_shape_gives_a_compact_tensor(size: tuple[int, int], geometry: Geometry) -> None:
    tensor = to_tensor(encoded(Image.new("RGB", size, (10, 120, 230)), "PNG"), geometry)
    assert tensor.shape == (3, geometry.size_px, geometry.size_px)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous
    assert tensor.base is None or tensor.base.nbytes == tensor.nbytes, "a view would keep a larger array alive"
    if geometry.fit != "pad":
        assert (tensor == np.array([10, 120, 230])[:, None, None]).all(), "a flat picture stays flat"


def test_broken_photo_raises_its_reason() -> None:
    photo = encoded(scene(64, 48))
    for data, reason in (
        (b"", Reason.empty),
        (b"no photo", Reason.not_an_image),
        (encoded(scene(64, 48), "BMP"), Reason.unsupported_format),
        (photo[:-50], Reason.truncated),
    ):
        with pytest.raises(Undecodable) as caught:
            to_tensor(data, CROP)
        assert caught.value.reason is reason
        assert caught.value.detail


PARITY = {
    "wide": encoded(scene(464, 348)),
    "tall and large": encoded(scene(1513, 2017)),
    "turned": turned(scene(464, 348), 6),
    "mirrored": turned(scene(350, 251), 5),
    "transparent": encoded(faded(300, 200), "PNG"),
    "cmyk": encoded(scene(300, 200).convert("CMYK")),
    "16-bit grey": png16(scene(300, 200).convert("L")),
    "16-bit colour": png16(scene(300, 200)),
    "webp": encoded(scene(300, 200), "WEBP"),
    "gif": encoded(scene(300, 200), "GIF"),
}


@pytest.mark.parametrize("geometry", [CROP, PAD, SQUASH])
def test_batch_and_single_use_give_the_same_pixels(geometry: Geometry) -> None:
    """Training and batch runs decode in pools, concurrently and in any order; a request decodes one photo alone."""
    alone = {name: tensor_digest(to_tensor(data, geometry)) for name, data in PARITY.items()}
    assert len(set(alone.values())) == len(PARITY)
    names = list(PARITY) * 6
    with ThreadPoolExecutor(8) as pool:
        pooled = list(pool.map(lambda name: to_tensor(PARITY[name], geometry), names))
    batch = np.stack(pooled)
    for name, tensor in zip(names, batch, strict=True):
        assert tensor_digest(tensor) == alone[name], name


def test_stored_shards_hold_the_same_pixels(tmp_path: Path) -> None:
    day = TensorDay(ObjectStore(tmp_path.as_uri()), CROP.digest(), date(2026, 3, 1), CROP.size_px)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in PARITY.items()}
    day.write((Tensor(name, hashes[name], pixels_of(data, hashes[name], CROP)) for name, data in PARITY.items()), 4)
    wanted = pl.DataFrame({"image_id": list(hashes), "sha256": list(hashes.values())})
    held = {
        name: tensor_digest(pixels)
        for batch in batched(day.read(wanted), 3)
        for name, pixels in zip(batch.image_ids, batch.pixels, strict=True)
    }
    assert held == {name: tensor_digest(to_tensor(data, CROP)) for name, data in PARITY.items()}


class LookingTowers(Towers):
    """Records the pixels that training passes to the tower."""

    def __init__(self, cache: Path) -> None:
        super().__init__(SimpleNamespace(spec=SimpleNamespace(model_digest="x")), None, cache)  # type: ignore[arg-type]
        self.shown: list[np.ndarray] = []

    def _features_of(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.shown.append(batch.copy())
        return np.zeros((len(batch), 1), np.float32), np.zeros((len(batch), 1), np.float32)


def test_training_uses_the_same_pixels(tmp_path: Path) -> None:
    towers = LookingTowers(tmp_path)
    towers.features("parity", len(PARITY), PARITY.values())
    # Every second call has the mirrored batch.
    shown = [tensor_digest(pixels) for batch in towers.shown[::2] for pixels in batch]
    assert shown == [tensor_digest(to_tensor(data, Geometry())) for data in PARITY.values()]


def test_fresh_process_gives_the_same_pixels_without_torch() -> None:
    """A different number of BLAS threads, which would change the order of summation, changes nothing."""
    program = (
        "import sys\n"
        "from shelf_assets_tests.vision.test_preprocess import PARITY, CROP, to_tensor, tensor_digest\n"
        "print(*[tensor_digest(to_tensor(data, CROP)) for data in PARITY.values()])\n"
        "assert 'torch' not in sys.modules, 'cutting a photo imported torch'\n"
    )
    expected = [tensor_digest(to_tensor(data, CROP)) for data in PARITY.values()]
    for threads in ("1", "3"):
        environment = {"OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path)}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.split() == expected


def test_tensor_digests_equal_the_recorded_ones() -> None:
    """The expected bytes for one lossless picture. An intended change must increment `preprocess.VERSION`."""
    ramp = np.arange(300 * 200 * 3, dtype=np.uint32).reshape(200, 300, 3)
    noise = ((ramp * np.uint32(2_654_435_761)) >> np.uint32(24)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    digests = {geometry.fit: tensor_digest(to_tensor(data, geometry))[:16] for geometry in (CROP, PAD, SQUASH)}
    assert digests == {"crop": "3aea255c9006ac59", "pad": "a30d22f7485bc389", "squash": "70b6e0ed2554f60c"}


def test_every_geometry_has_its_own_digest() -> None:
    different = [CROP, PAD, SQUASH, Geometry(size_px=256), replace(PAD, pad_value=0)]
    assert len({geometry.digest() for geometry in different}) == len(different)
    assert CROP.digest() == Geometry(fit="crop").digest() == replace(CROP, pad_value=0).digest()
    assert int(CROP.digest(), 16) >= 0
    assert len(CROP.digest()) == 64


def test_invalid_geometry_is_refused() -> None:
    for wrong in ({"fit": "stretch"}, {"interpolation": "nearest"}, {"size_px": 0}, {"pad_value": 256}):
        with pytest.raises(ValueError, match=next(iter(wrong)).partition("_")[0]):
            Geometry(**wrong)  # type: ignore[arg-type]


def test_tensor_digest_depends_on_the_shape() -> None:
    tensor = to_tensor(PARITY["wide"], CROP)
    assert tensor_digest(tensor) == tensor_digest(np.asfortranarray(tensor))
    assert tensor_digest(tensor) != tensor_digest(tensor.reshape(224, 224, 3))
    assert tensor_digest(tensor) != hashlib.sha256(tensor.tobytes()).hexdigest()
