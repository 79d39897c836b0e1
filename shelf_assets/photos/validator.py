"""The validator: apply the rules in order and return the first violation, or acceptance. Returns a result for any bytes.

Uploads and the graph use the same validator. Pixels for the models come from the same decoder, so every accepted photo can be
decoded there.

Bytes after the end of a picture are accepted: motion photos and multi-picture files of common phones store a video or further
pictures there. They are ignored, and the sanitizer removes them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import RULES, Photo
from shelf_assets.vision.formats import sniff
from shelf_assets.vision.headers import Header
from shelf_assets.vision.perceptual_hash import perceptual_hash
from shelf_assets.vision.preprocess import Geometry, cut_each
from shelf_assets.vision.reasons import Undecodable


@dataclass(frozen=True)
class ValidationResult:
    """Acceptance, or the first violation: `reason` is a key of `rules.BY_REASON`, or None for an accepted photo.

    `width_px` and `height_px` are as stored, before EXIF orientation (1 to 8; 1 where there is none); both are None where the
    header could not be read. `format` is also given for formats that are not accepted.
    """

    format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    exif_orientation: int = 1
    reason: str | None = None
    detail: str | None = None

    @property
    def ok(self) -> bool:
        return self.reason is None


def validate_photo(photo: Photo, limits: Limits) -> ValidationResult:
    """Validate a photo; what the checks have computed stays in it."""
    reason, detail = _first_violation(photo, limits)
    computed = vars(photo)  # cached properties that some check has used
    header: Header | None = computed.get("header")
    if header is None:
        return ValidationResult(sniff(photo.data) if photo.data else None, reason=reason, detail=detail)
    return ValidationResult(header.format, header.width_px, header.height_px, header.exif_orientation, reason, detail)


def _first_violation(photo: Photo, limits: Limits) -> tuple[str | None, str | None]:
    try:
        for rule in RULES:
            if rule.check and (detail := rule.check(photo, limits)):
                return rule.reason, detail
    except Undecodable as error:
        return str(error.reason), error.detail
    return None, None


# Perceptual hashes of all settings are made from this geometry, so that they can be compared.
_HASHED_GEOMETRY = Geometry()


@dataclass(frozen=True)
class ValidatedObject:
    """One validated object of the lake. `sha256` is None when its bytes were not read.

    `pixels` is the tensor of an accepted photo (uint8, 3 × size × size) where a geometry was given. `perceptual_hash` is None
    for rejected and for flat pictures.
    """

    sha256: str | None
    result: ValidationResult
    pixels: np.ndarray | None = None
    perceptual_hash: int | None = None


def unsupported_key() -> ValidatedObject:
    """The result for an object whose key the store's client does not support, so that it cannot be read."""
    detail = "empty or dotted segments or control characters; store the photo under another key"
    return ValidatedObject(None, ValidationResult(reason="unsupported_key", detail=detail))


def validate(size_bytes: int, data: bytes | None, limits: Limits, geometry: Geometry | None = None) -> ValidatedObject:
    """Validate one listed object. `data` is None where the object is larger than the limit or was gone when it was read.

    With a `geometry` the validating decode also gives the photo's tensor: one decode serves the table and the models.
    """
    if data is None:
        if size_bytes > limits.max_bytes:
            detail = f"{size_bytes:,} bytes, more than {limits.max_bytes:,}"
            return ValidatedObject(None, ValidationResult(reason="too_large", detail=detail))
        return ValidatedObject(
            None, ValidationResult(reason="gone", detail="listed, but no longer there when it was read")
        )
    sha256 = hashlib.sha256(data).hexdigest()
    geometries = {_HASHED_GEOMETRY} if geometry is None else {_HASHED_GEOMETRY, geometry}
    photo = Photo(data, lambda data, header: cut_each(data, header, geometries))
    result = validate_photo(photo, limits)
    if not result.ok:
        return ValidatedObject(sha256, result)
    tensors = photo.decoded
    return ValidatedObject(
        sha256, result, None if geometry is None else tensors[geometry], perceptual_hash(tensors[_HASHED_GEOMETRY])
    )
