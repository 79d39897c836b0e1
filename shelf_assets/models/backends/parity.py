"""How true a backend is to the model in float32: measured on the same pixels, and refused below the limits. Runs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shelf_assets.models.errors import ModelError
from shelf_assets.models.spec import TaskName

# On fewer photos one label more or less would decide.
FEWEST_FOR_TOP1 = 64
_SMALLEST_PROBABILITY = 1e-6


class BackendRefused(ModelError):
    """A backend's outputs are too far from the model's in float32."""


@dataclass(frozen=True)
class ParityLimits:
    """The least that is accepted: mean cosine of outputs, share of equal top labels, points of accuracy lost.

    Where accuracy on labelled photos is known it decides, and the cosine may be as low as `cosine_labelled`.
    """

    cosine: float = 0.995
    cosine_labelled: float = 0.98
    top1_agreement: float = 0.85
    accuracy_points: float = 0.5


@dataclass(frozen=True)
class Parity:
    """Outputs of a backend beside float32's on `photos` pictures.

    Cosines are of unit vectors, or of a classifier's centred log-probabilities. `top1_agreement` is a classifier's share of
    equal best labels; `accuracy_change_points` what labelled photos gained (or, below 0, lost) in per cent.
    """

    photos: int
    cosine_mean: float
    cosine_least: float
    top1_agreement: float | None = None
    labelled_photos: int = 0
    accuracy_change_points: float | None = None

    def require(self, limits: ParityLimits, what: str) -> None:
        """Raise BackendRefused where a figure lies below its limit."""
        complaints = []
        least = limits.cosine if self.accuracy_change_points is None else limits.cosine_labelled
        if self.photos and self.cosine_mean < least:
            complaints.append(f"mean cosine {self.cosine_mean:.4f}, at least {least}")
        if (
            self.top1_agreement is not None
            and self.photos >= FEWEST_FOR_TOP1
            and self.top1_agreement < limits.top1_agreement
        ):
            complaints.append(f"same top label {self.top1_agreement:.1%}, at least {limits.top1_agreement:.0%}")
        if self.accuracy_change_points is not None and -self.accuracy_change_points > limits.accuracy_points:
            complaints.append(
                f"{-self.accuracy_change_points:.1f} points of accuracy lost, at most {limits.accuracy_points}"
            )
        if complaints:
            raise BackendRefused(
                f"{what} is too far from the model in float32 on {self.photos} photos: {'; '.join(complaints)}. Choose another "
                "SHELF_MODELS_PRECISION or SHELF_MODELS_BACKEND, or lower the limit (SHELF_PARITY_…) knowingly"
            )

    def plus(self, others: Parity) -> Parity:
        """The figures of these photos and other ones together; what labelled photos have shown stays known."""
        photos = self.photos + others.photos

        def mean(ours: float, theirs: float) -> float:
            return (self.photos * ours + others.photos * theirs) / photos

        known = self.top1_agreement is not None and others.top1_agreement is not None
        return replace(
            self,
            photos=photos,
            cosine_mean=mean(self.cosine_mean, others.cosine_mean),
            cosine_least=min(self.cosine_least, others.cosine_least),
            top1_agreement=mean(self.top1_agreement or 0, others.top1_agreement or 0) if known else None,
        )

    def facts(self) -> dict[str, float]:
        """What is known of it, for metadata."""
        found = {"parity_photos": self.photos, "parity_cosine": round(self.cosine_mean, 5)}
        if self.top1_agreement is not None:
            found["parity_top1"] = round(self.top1_agreement, 4)
        if self.accuracy_change_points is not None:
            found["parity_accuracy_points"] = round(self.accuracy_change_points, 2)
        return found


def measure(task: TaskName, reference: np.ndarray, found: np.ndarray) -> Parity:
    """Compare outputs (float32, N × D) of the same photos: float32's first."""
    ours, theirs = directions(task, found), directions(task, reference)
    cosines = (ours * theirs).sum(axis=1)
    top1 = float((reference.argmax(axis=1) == found.argmax(axis=1)).mean()) if task == "classifier" else None
    return Parity(len(cosines), float(cosines.mean()), float(cosines.min()), top1)


def accuracy_change_points(
    task: TaskName, reference: np.ndarray, found: np.ndarray, labels: Sequence[str]
) -> tuple[float, float]:
    """What a backend gains or loses in telling labelled photos apart, and the accuracy in float32, both in per cent.

    Each photo is given the label whose other photos' mean direction, as float32 sees them, is nearest to its own direction
    (nearest class mean, leave one out). It needs no head trained on these labels, so it serves any model and any labels.
    """
    means = directions(task, reference)
    right = [_nearest_mean(means, directions(task, outputs), labels) for outputs in (reference, found)]
    return 100 * (right[1] - right[0]), 100 * right[0]


def directions(task: TaskName, outputs: np.ndarray) -> np.ndarray:
    """Outputs as unit vectors: a classifier's are compared as centred log-probabilities, where small ones count too."""
    vectors = outputs.astype(np.float64)
    if task == "classifier":
        vectors = np.log(np.maximum(vectors, _SMALLEST_PROBABILITY))
        vectors -= vectors.mean(axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _nearest_mean(learned: np.ndarray, asked: np.ndarray, labels: Sequence[str]) -> float:
    names = sorted(set(labels))
    numbers = np.array([names.index(label) for label in labels])
    members = np.eye(len(names))[numbers]
    sums = members.T @ learned
    scores = asked @ (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).T
    # The photo's own class without the photo; a class of one photo cannot be told by others.
    own = sums[numbers] - learned
    own_norm = np.linalg.norm(own, axis=1)
    scores[np.arange(len(numbers)), numbers] = np.where(
        own_norm > 1e-9, (asked * own).sum(axis=1) / np.maximum(own_norm, 1e-12), -1.0
    )
    return float((scores.argmax(axis=1) == numbers).mean())
