"""Pixels of accepted photos, after a check that the object still has the bytes that were accepted."""

from __future__ import annotations

import hashlib

import numpy as np

from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets.vision.reasons import Reason, Undecodable


def pixels_of(data: bytes | None, sha256: str, geometry: Geometry) -> np.ndarray:
    """Tensor of an accepted photo (uint8, 3 × size × size). Raises Undecodable, also if the object has changed."""
    return to_tensor(unchanged(data, sha256), geometry)


def unchanged(data: bytes | None, sha256: str) -> bytes:
    """Bytes of an accepted photo. Raises Undecodable (gone) if the object was deleted or changed."""
    if data is None:
        raise Undecodable(Reason.gone, "accepted, but no longer there when its tensor was to be made")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Undecodable(Reason.gone, "the object was overwritten after it had been accepted")
    return data
