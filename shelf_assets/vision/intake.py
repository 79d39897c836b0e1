"""One listed object in, its judgement and its tensor out: what a pass over a day does with each photo.

How bytes are judged is in `inspect`, how pixels are made in `preprocess`; reading them belongs to `engine`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from shelf_assets.vision.headers import Header
from shelf_assets.vision.inspect import Limits, Verdict, inspect
from shelf_assets.vision.preprocess import Geometry, Undecodable, cut, to_tensor
from shelf_assets.vision.reasons import Reason


@dataclass(frozen=True)
class Judged:
    """What was found in one object: `sha256` is None when its bytes were not read.

    `pixels` is the tensor of a good photo (uint8, 3 × size × size) where one was asked for.
    """

    sha256: str | None
    verdict: Verdict
    pixels: np.ndarray | None = None


def judge(size_bytes: int, data: bytes | None, limits: Limits, geometry: Geometry | None = None) -> Judged:
    """Judge one object. `data` is None when it vanished before it was read, or is larger than the limit.

    With a `geometry` the decode that proves the photo also gives its tensor: one decode serves the ledger and the models.
    """
    if data is None:
        if size_bytes > limits.max_bytes:
            return Judged(None, _unread(Reason.too_large, f"{size_bytes:,} bytes, more than {limits.max_bytes:,}"))
        return Judged(None, _unread(Reason.gone, "listed, but no longer there when it was read"))
    sha256 = hashlib.sha256(data).hexdigest()
    if geometry is None:
        return Judged(sha256, inspect(data, limits))
    pixels: list[np.ndarray] = []

    def decode(data: bytes, header: Header) -> None:
        pixels.append(cut(data, header, geometry))

    verdict = inspect(data, limits, decode)
    return Judged(sha256, verdict, pixels[0] if pixels else None)


def pixels_of(data: bytes | None, sha256: str, geometry: Geometry) -> np.ndarray:
    """The tensor of an accepted photo (uint8, 3 × size × size). Raises Undecodable, also when the object is not what it was."""
    return to_tensor(unchanged(data, sha256), geometry)


def unchanged(data: bytes | None, sha256: str) -> bytes:
    """The bytes of an accepted photo. Raises Undecodable (gone) when the object is not what it was."""
    if data is None:
        raise Undecodable(Reason.gone, "accepted, but no longer there when its tensor was to be made")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Undecodable(Reason.gone, "the object was overwritten after it had been accepted")
    return data


def _unread(reason: Reason, detail: str) -> Verdict:
    return Verdict(
        ok=False, format=None, width_px=None, height_px=None, exif_orientation=1, reason=reason, detail=detail
    )
