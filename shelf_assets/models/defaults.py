"""Defaults of the models' settings, for callers without settings too. A leaf: imports no library."""

from __future__ import annotations

from dataclasses import dataclass

PRODUCTION_CLASSIFIER = "resnet50.a1_in1k"
PRODUCTION_EMBEDDER = "ViT-B-32/laion2b_s34b_b79k"


@dataclass(frozen=True)
class ParityLimits:
    """Limits: mean cosine of outputs, share of equal top labels, points of accuracy lost.

    If the accuracy on labelled photos is known, it decides, and the cosine may be as low as `cosine_labelled`.
    """

    cosine: float = 0.995
    cosine_labelled: float = 0.98
    top1_agreement: float = 0.85
    accuracy_points: float = 0.5
