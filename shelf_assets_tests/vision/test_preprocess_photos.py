"""Real photos: rotated phone photos become upright, and shrinking on load gives nearly the pixels of the full path."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelf_assets.photos.limits import Limits
from shelf_assets.vision.preprocess import Geometry, tensor_digest, to_tensor
from shelf_assets_tests.photos.validation import validate_bytes
from shelf_assets_tests.vision.pictures import difference, exact, header_only

CROP = Geometry(fit="crop")


def photos(folder: Path, pattern: str) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}
    assert found, f"no {pattern} in {folder}"
    return found


@pytest.mark.parametrize("scene", ["Landscape", "Portrait"])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_all_exif_orientations_stand_upright(shared_data: Path, scene: str, fit: str) -> None:
    """The nine files were saved as JPEGs separately and differ by up to 1.6 levels; a wrong orientation differs by 30."""
    geometry = Geometry(fit=fit)  # type: ignore[arg-type]
    tensors = {
        name: to_tensor(data, geometry)
        for name, data in photos(shared_data / "exif-orientation", f"{scene}_?.jpg").items()
    }
    assert len(tensors) == 9
    upright = tensors[f"{scene}_1.jpg"]
    for name, tensor in tensors.items():
        assert difference(tensor, upright) < 2, name
    assert difference(upright[:, ::-1], upright) > 20, "the tolerance would not detect a photo that is upside down"
    assert difference(upright[:, :, ::-1], upright) > 20, "the tolerance would not detect a mirrored photo"


def test_phone_photos_are_accepted_with_their_orientation(shared_data: Path) -> None:
    turned = set()
    for name, data in photos(shared_data / "phone-photos", "*.jpg").items():
        result = validate_bytes(data, Limits())
        assert result.ok, f"{name}: {result.detail}"
        with Image.open(io.BytesIO(data)) as image:
            assert (result.width_px, result.height_px) == image.size
            assert result.exif_orientation == (image.getexif().get(0x0112) or 1), name
        turned.add(result.exif_orientation)
    assert {1, 3, 6, 8} <= turned


@pytest.mark.slow
def test_fast_path_equals_the_exact_path_on_phone_photos(shared_data: Path) -> None:
    """Mean difference to the full path, in levels of 255; a crop that is off by one pixel differs by 4.6."""
    apart = {}
    for name, data in photos(shared_data / "phone-photos", "*.jpg").items():
        result = validate_bytes(data, Limits(), decode=header_only)
        assert result.width_px and result.height_px
        is_new = result.width_px * result.height_px >= 12_000_000
        apart[name] = difference(to_tensor(data, CROP), exact(data))
        # 12 MP and more leave 3.4 times the target after shrinking. 8 MP leave 2.7 times, so turbo does more of the filtering.
        assert apart[name] <= (0.3 if is_new else 0.6), name
        apart[name] = apart[name] if is_new else np.nan
    assert np.nanmean(list(apart.values())) <= 0.25


def test_fast_path_equals_the_exact_path_on_groceries(shared_data: Path) -> None:
    chosen = list(photos(shared_data / "grocery" / "val", "**/*.jpg").values())[::15]
    oblong = [
        data
        for data in photos(shared_data / "grocery" / "train", "Packages/Milk/**/*.jpg").values()
        if _is_oblong(data)
    ]
    assert oblong
    for data in chosen + oblong[:5]:
        assert difference(to_tensor(data, CROP), exact(data)) <= 0.25


def test_same_photo_gives_the_same_tensor(shared_data: Path) -> None:
    data = (shared_data / "phone-photos" / "Apple_iPhone_4S.jpg").read_bytes()
    assert tensor_digest(to_tensor(data, CROP)) == tensor_digest(to_tensor(data, CROP))


def _is_oblong(data: bytes) -> bool:
    result = validate_bytes(data, Limits(), decode=header_only)
    return result.width_px != result.height_px
