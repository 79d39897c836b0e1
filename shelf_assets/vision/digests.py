"""Digests: one canonical way to hash descriptions and files, so that equal things have equal digests in every process.

The modules that describe a thing decide what its digest covers. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def canonical_json(described: object) -> str:
    """JSON with sorted keys, no spaces and no NaN. Tuples become lists; other types raise TypeError."""
    return json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_digest(described: object) -> str:
    """sha256 (64 hex digits) of the canonical JSON of `described`."""
    return hashlib.sha256(canonical_json(described).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 (64 hex digits) of a file's bytes, read as a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def preprocess_digest(
    geometry: Mapping[str, object],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    interpolation: str,
    image_size_px: int,
) -> str:
    """Digest of all preprocessing between a photo's bytes and the model's input.

    `geometry` describes how the stored tensor was cut and scaled; `mean` and `std` (RGB, of pixels in 0..1) are the model's;
    `image_size_px` is the model's side, to which a tensor of another side is resized with `interpolation`.
    """
    return canonical_digest(
        {
            "geometry": dict(geometry),
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "interpolation": interpolation,
            "image_size_px": int(image_size_px),
        }
    )
