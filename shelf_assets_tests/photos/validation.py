"""Validation of bytes, for tests that need no decoded photo."""

from __future__ import annotations

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import Decode, Photo, check_decodable
from shelf_assets.photos.validator import ValidationResult, validate_photo


def validate_bytes(data: bytes, limits: Limits, decode: Decode = check_decodable) -> ValidationResult:
    return validate_photo(Photo(data, decode), limits)
