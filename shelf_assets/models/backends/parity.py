"""Parity: how close a backend's outputs are to the model in float32, with limits below which it is refused. Runs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shelf_assets.models.defaults import ParityLimits
from shelf_assets.models.errors import ModelError
from shelf_assets.models.spec import TaskName

# Below this number of photos a single label would decide.
FEWEST_FOR_TOP1 = 64
_SMALLEST_PROBABILITY = 1e-6


class BackendRefused(ModelError):
    """A backend's outputs are too far from the model's in float32."""


@dataclass(frozen=True)
class Parity:
    """Comparison of a backend's outputs with float32's on `photos` pictures.

    Cosines are of unit vectors, or of a classifier's centred log-probabilities. `top1_agreement` is a classifier's share of
    equal top labels. `accuracy_change_points` is the change of accuracy on labelled photos, in percentage points.
    """

    photos: int
    cosine_mean: float
    cosine_least: float
    top1_agreement: float | None = None
    labelled_photos: int = 0
    accuracy_change_points: float | None = None

    def require(self, limits: ParityLimits, what: str) -> None:
        """Raise BackendRefused where a value is below its limit."""
        violations = []
        least = limits.cosine if self.accuracy_change_points is None else limits.cosine_labelled
        if self.photos and self.cosine_mean < least:
            violations.append(f"mean cosine {self.cosine_mean:.4f}, at least {least}")
        if (
            self.top1_agreement is not None
            and self.photos >= FEWEST_FOR_TOP1
            and self.top1_agreement < limits.top1_agreement
        ):
            violations.append(f"same top label {self.top1_agreement:.1%}, at least {limits.top1_agreement:.0%}")
        if self.accuracy_change_points is not None and -self.accuracy_change_points > limits.accuracy_points:
            violations.append(
                f"{-self.accuracy_change_points:.1f} points of accuracy lost, at most {limits.accuracy_points}"
            )
        if violations:
            raise BackendRefused(
                f"{what} is too far from the model in float32 on {self.photos} photos: {'; '.join(violations)}. Choose another "
                "SHELF_MODELS_PRECISION or SHELF_MODELS_BACKEND, or lower the limit (SHELF_MODELS_PARITY_…)"
            )

    def combined(self, others: Parity) -> Parity:
        """The parity on these and other photos together; the accuracy on labelled photos is kept."""
        photos = self.photos + others.photos

        def mean(ours: float, theirs: float) -> float:
            return (self.photos * ours + others.photos * theirs) / photos

        has_labels = self.top1_agreement is not None and others.top1_agreement is not None
        return replace(
            self,
            photos=photos,
            cosine_mean=mean(self.cosine_mean, others.cosine_mean),
            cosine_least=min(self.cosine_least, others.cosine_least),
            top1_agreement=mean(self.top1_agreement or 0, others.top1_agreement or 0) if has_labels else None,
        )

    def metrics(self) -> dict[str, float]:
        """The known values, for metadata."""
        found = {"parity_photos": self.photos, "parity_cosine": round(self.cosine_mean, 5)}
        if self.top1_agreement is not None:
            found["parity_top1"] = round(self.top1_agreement, 4)
        if self.accuracy_change_points is not None:
            found["parity_accuracy_points"] = round(self.accuracy_change_points, 2)
        return found


def measure(task: TaskName, reference: np.ndarray, found: np.ndarray) -> Parity:
    """Compare a backend's outputs `found` with float32's, `reference`, of the same photos (float32, N × D)."""
    ours, theirs = directions(task, found), directions(task, reference)
    cosines = (ours * theirs).sum(axis=1)
    top1 = float((reference.argmax(axis=1) == found.argmax(axis=1)).mean()) if task == "classifier" else None
    return Parity(len(cosines), float(cosines.mean()), float(cosines.min()), top1)


def accuracy_change_points(
    task: TaskName, reference: np.ndarray, found: np.ndarray, labels: Sequence[str]
) -> tuple[float, float]:
    """Change of accuracy on labelled photos, in percentage points, and the accuracy in float32, in per cent.

    Each photo gets the label whose mean direction, over the float32 outputs of its other photos, is nearest (nearest class
    mean, leave one out). This needs no head trained on the labels, so it works for any model and any labels.
    """
    means = directions(task, reference)
    right = [_nearest_mean(means, directions(task, outputs), labels) for outputs in (reference, found)]
    return 100 * (right[1] - right[0]), 100 * right[0]


def directions(task: TaskName, outputs: np.ndarray) -> np.ndarray:
    """Outputs as unit vectors. A classifier's are centred log-probabilities, in which small probabilities count as well."""
    vectors = outputs.astype(np.float64)
    if task == "classifier":
        vectors = np.log(np.maximum(vectors, _SMALLEST_PROBABILITY))
        vectors -= vectors.mean(axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _nearest_mean(learned: np.ndarray, queries: np.ndarray, labels: Sequence[str]) -> float:
    names = sorted(set(labels))
    numbers = np.array([names.index(label) for label in labels])
    members = np.eye(len(names))[numbers]
    sums = members.T @ learned
    scores = queries @ (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).T
    # The mean of a photo's own class excludes the photo; a class with one photo cannot be recognised.
    own = sums[numbers] - learned
    own_norm = np.linalg.norm(own, axis=1)
    scores[np.arange(len(numbers)), numbers] = np.where(
        own_norm > 1e-9, (queries * own).sum(axis=1) / np.maximum(own_norm, 1e-12), -1.0
    )
    return float((scores.argmax(axis=1) == numbers).mean())
