"""Calibrate int8 models on photos of a day, tested on other photos of that day and on labelled ones. See `models.backends`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from shelf_assets.models.backends.calibration import Calibrated, Labelled, calibrate
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.models import PredictionModels
from shelf_assets.pipeline.pixels import pixels_of_day
from shelf_assets.vision.engine import decode_each
from shelf_assets.vision.preprocess import Geometry

# Fewer photos represent a model's activations poorly, and make the share of equal labels a matter of chance.
FEWEST_PHOTOS = 48
_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def calibrate_day(
    ingest: Ingest,
    models: PredictionModels,
    day: date,
    most_photos: int,
    labelled: Path | None,
    say: Callable[[str], None],
) -> list[Calibrated]:
    """Calibrate both models on up to `most_photos` of the day's accepted photos; a third as many others are the proof.

    `labelled` is a folder whose photos lie in folders named by their class, at any depth. Raises ValueError for a day with
    too few photos, and BackendRefused for a model below the limits; the previous calibration then stays valid.
    """
    photos = _photos(ingest, day, most_photos + most_photos // 3)
    share = len(photos) * 3 // 4
    truth = _labelled(labelled, models.geometry) if labelled else None
    resolved = models.with_settings(precision="fp32", backend="openvino").resolved
    store, limits = models.compiled, models.parity_limits
    done = []
    for spec in (resolved.classifier, resolved.embedder):
        say(f"{spec.model_id}: calibrating on {share} photos of {day}, proving on {len(photos) - share} others")
        done.append(calibrate(spec, store, photos[:share], photos[share:], truth, limits))
    return done


def _photos(ingest: Ingest, day: date, most: int) -> np.ndarray:
    # By sha256: independent of time and sender, and the same photos if the calibration is repeated.
    accepted = ingest.lake.accepted(day).sort("sha256").head(most)
    tensors = ingest.tensors.day(day)
    stream = pixels_of_day(ingest.reader, ingest.tensors, tensors, tensors.index(), accepted)
    pixels = {tensor.sha256: tensor.pixels for tensor in stream}
    if len(pixels) < FEWEST_PHOTOS:
        raise ValueError(
            f"{day} has {len(pixels)} accepted photos, and calibration wants {FEWEST_PHOTOS} at least: choose another day, or "
            f"run this one first (shelf run --day {day})"
        )
    return np.stack([pixels[sha256] for sha256 in sorted(pixels)])


def _labelled(folder: Path, geometry: Geometry) -> Labelled:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PHOTO_SUFFIXES)
    made = zip(decode_each((path.read_bytes() for path in paths), geometry), paths, strict=True)
    good = [(pixels, path.parent.name) for pixels, path in made if isinstance(pixels, np.ndarray)]
    if not good:
        raise ValueError(f"{folder} holds no photos; they lie in folders named by their class")
    return Labelled(np.stack([pixels for pixels, _ in good]), [label for _, label in good])
