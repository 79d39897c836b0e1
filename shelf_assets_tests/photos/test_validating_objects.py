"""Validation of one object: unread, vanished and overwritten objects have their own reasons."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.validator import validate
from shelf_assets.vision.perceptual_hash import perceptual_hash
from shelf_assets.vision.photo_pixels import pixels_of
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets.vision.reasons import Undecodable
from shelf_assets_tests.vision.pictures import encoded, scene

# All test pictures are smaller than these limits.
ROOMY = Limits()
LIMITS = Limits(max_bytes=10_000, max_pixels=1_000_000)
SMALL = Geometry(size_px=32)


def jpeg(colour: str = "orange") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "JPEG")
    return file.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_good_photo_is_accepted_with_its_sha256() -> None:
    validated = validate(len(jpeg()), jpeg(), LIMITS)
    assert validated.sha256 == sha256(jpeg())
    assert validated.result.ok
    assert (validated.result.format, validated.result.width_px, validated.result.height_px) == ("jpeg", 64, 48)
    assert validated.result.reason is None


@pytest.mark.parametrize(
    "geometry", [None, Geometry(), Geometry(fit="pad"), SMALL], ids=["no tensor", "usual", "padded", "small"]
)
def test_perceptual_hash_is_independent_of_the_requested_tensor(geometry: Geometry | None) -> None:
    data = encoded(scene(640, 480))
    validated = validate(len(data), data, ROOMY, geometry)
    assert validated.perceptual_hash == perceptual_hash(to_tensor(data, Geometry()))
    if geometry is None:
        assert validated.pixels is None
    else:
        assert validated.pixels is not None and np.array_equal(validated.pixels, to_tensor(data, geometry))


def test_flat_or_rejected_photo_has_no_perceptual_hash() -> None:
    assert validate(len(jpeg()), jpeg(), LIMITS).perceptual_hash is None
    cut = encoded(scene(640, 480))[:5000]
    rejected = validate(len(cut), cut, ROOMY, Geometry())
    assert (rejected.result.reason, rejected.perceptual_hash, rejected.pixels) == ("truncated", None, None)


def test_rejected_photo_has_its_sha256() -> None:
    validated = validate(9, b"milk eggs", LIMITS)
    assert not validated.result.ok
    assert validated.result.reason == "not_an_image"
    assert validated.sha256 == sha256(b"milk eggs")


def test_unread_oversized_photo_is_too_large() -> None:
    validated = validate(10_001, None, LIMITS)
    assert validated.sha256 is None
    assert validated.result.reason == "too_large"
    assert "10,001" in str(validated.result.detail) and "10,000" in str(validated.result.detail)


def test_vanished_photo_is_gone() -> None:
    validated = validate(500, None, LIMITS)
    assert not validated.result.ok
    assert (validated.sha256, validated.result.reason) == (None, "gone")
    assert validated.result.detail


def test_tensor_has_the_shape_and_colours_of_its_photo() -> None:
    pixels = pixels_of(jpeg("blue"), sha256(jpeg("blue")), SMALL)
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), np.uint8)
    red, green, blue = pixels.mean(axis=(1, 2))
    assert blue > 200 and red < 50 and green < 50


def test_vanished_photo_gives_no_tensor() -> None:
    with pytest.raises(Undecodable) as gone:
        pixels_of(None, sha256(jpeg()), SMALL)
    assert gone.value.reason == "gone"
    assert gone.value.detail


def test_overwritten_photo_gives_no_tensor() -> None:
    with pytest.raises(Undecodable, match="overwritten") as overwritten:
        pixels_of(jpeg("blue"), sha256(jpeg("orange")), SMALL)
    assert overwritten.value.reason == "gone"


def test_broken_photo_is_undecodable_with_a_reason() -> None:
    cut = jpeg()[:200]
    with pytest.raises(Undecodable) as broken:
        pixels_of(cut, sha256(cut), SMALL)
    assert broken.value.reason != "gone"
    assert broken.value.detail
