"""Is this a photo we take? The rules are asked in their order; the first that objects is the result. Never raises, for any bytes.

One judge for every door and for the graph. Pixels for the models are made by the same decoder: what is accepted here can
be decoded there.

Trailing bytes after a picture's end are accepted: motion photos, multi-picture and HDR files of common phones carry a
video or further pictures there. Nobody reads them, and a file that a door has rebuilt has none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import RULES, Decode, Photo, prove
from shelf_assets.vision.formats import sniff
from shelf_assets.vision.headers import Header
from shelf_assets.vision.perceptual_hash import perceptual_hash
from shelf_assets.vision.preprocess import Geometry, cut_each
from shelf_assets.vision.reasons import Undecodable


@dataclass(frozen=True)
class ValidationResult:
    """`width_px` and `height_px` as stored, before EXIF orientation (1 to 8; 1 where none is given).

    `reason` is one of `rules.BY_REASON`, None for a photo that is taken. `format` is also given for formats that are not
    taken, sizes wherever the header could be read.
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


def validate_bytes(data: bytes, limits: Limits, decode: Decode = prove) -> ValidationResult:
    """Judge a photo's bytes; see the module's first sentence.

    `decode` is the proof that a picture is in them: who needs its pixels anyway takes them there, and decodes once.
    """
    return validate_photo(Photo(data, decode), limits)


def validate_photo(photo: Photo, limits: Limits) -> ValidationResult:
    """The result on a photo, which keeps what was found in it."""
    reason, detail = _objection(photo, limits)
    found = vars(photo)  # only what some rule has asked for
    header: Header | None = found.get("header")
    if header is None:
        return ValidationResult(sniff(photo.data) if photo.data else None, reason=reason, detail=detail)
    return ValidationResult(header.format, header.width_px, header.height_px, header.exif_orientation, reason, detail)


def _objection(photo: Photo, limits: Limits) -> tuple[str | None, str | None]:
    try:
        for rule in RULES:
            if rule.question and (detail := rule.question(photo, limits)):
                return rule.reason, detail
    except Undecodable as refused:
        return str(refused.reason), refused.detail
    return None, None


_LOOKED_AT = Geometry()


@dataclass(frozen=True)
class ValidatedObject:
    """What was found in one object of the lake: `sha256` is None when its bytes were not read.

    `pixels` is the tensor of a good photo (uint8, 3 × size × size) where one was asked for, `perceptual_hash` what it looks
    like: None of a picture that is flat.
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
    """Judge one listed object. `data` is None when it vanished before it was read, or is larger than the limit.

    With a `geometry` the decode that proves the photo also gives its tensor: one decode serves the ledger and the models. What
    the photo looks like is said of the default geometry's tensor, whatever is asked for: hashes of different settings
    could not be compared.
    """
    if data is None:
        if size_bytes > limits.max_bytes:
            detail = f"{size_bytes:,} bytes, more than {limits.max_bytes:,}"
            return ValidatedObject(None, ValidationResult(reason="too_large", detail=detail))
        return ValidatedObject(
            None, ValidationResult(reason="gone", detail="listed, but no longer there when it was read")
        )
    sha256 = hashlib.sha256(data).hexdigest()
    geometries = {_LOOKED_AT} if geometry is None else {_LOOKED_AT, geometry}
    photo = Photo(data, lambda data, header: cut_each(data, header, geometries))
    result = validate_photo(photo, limits)
    if not result.ok:
        return ValidatedObject(sha256, result)
    tensors = photo.decoded
    return ValidatedObject(
        sha256, result, None if geometry is None else tensors[geometry], perceptual_hash(tensors[_LOOKED_AT])
    )
