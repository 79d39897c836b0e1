"""Calibrating int8 models on a day's own photos, judged on others of that day and on labelled ones. How: `vision.backends`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.models.backends.calibration import Calibrated, Labelled, calibrate
from shelf_assets.pipeline.models import compiled_models, geometry_of, parity_limits, resolve
from shelf_assets.pipeline.pixels import pixels_of_day
from shelf_assets.settings import Settings
from shelf_assets.vision.engine import decode_each
from shelf_assets.vision.preprocess import Geometry

# Fewer say little of what activations a model will see, and a share of equal labels of fewer is mostly chance.
FEWEST_PHOTOS = 48
_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def calibrate_day(
    settings: Settings, day: date, most_photos: int, labelled: Path | None, say: Callable[[str], None]
) -> list[Calibrated]:
    """Calibrate both models on up to `most_photos` of the day's accepted photos; a third as many others are the proof.

    `labelled` is a folder whose photos lie in folders named by their class, at any depth. Raises ValueError for a day of too
    few photos, BackendRefused for a model below the limits; what was in force before stays so.
    """
    photos = _photos(settings, day, most_photos + most_photos // 3)
    share = len(photos) * 3 // 4
    truth = _labelled(labelled, geometry_of(settings)) if labelled else None
    resolved = resolve(settings.replace(models__precision="fp32", models__backend="openvino"))
    store, limits = compiled_models(settings), parity_limits(settings)
    done = []
    for spec in (resolved.classifier, resolved.embedder):
        say(f"{spec.model_id}: calibrating on {share} photos of {day}, proving on {len(photos) - share} others")
        done.append(calibrate(spec, store, photos[:share], photos[share:], truth, limits))
    return done


def _photos(settings: Settings, day: date, most: int) -> np.ndarray:
    lake = LakeResource(url=settings.lake.url)
    # By sha256: no order of day or sender, and the same photos when it is done again.
    accepted = lake.lake.accepted(day).sort("sha256").head(most)
    geometry = geometry_of(settings)
    tensors = lake.lake.tensors(day, geometry.digest(), geometry.size_px)
    pixels = {tensor.sha256: tensor.pixels for tensor in pixels_of_day(lake, tensors, tensors.index(), accepted)}
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
