"""The product's own way as one of many: its models at one backend and precision. A day's work is in `pipeline_baseline`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import models_baseline, pipeline_baseline
from benchmarks.baselines import (
    BY_NAME,
    GEOMETRY,
    Outcome,
    Settings,
    Way,
    WayUnavailable,
    hollow_models,
    load_models,
    prepare_models,
)
from benchmarks.photos import REPO_ROOT, photo_set
from benchmarks.place import Place
from shelf_assets.models.precision import resolve_precision
from shelf_assets.vision.preprocess import to_tensor

# What a backend is proven on, and int8 calibrated: start-up, not work.
PROOF_PHOTOS = 64
_PREPARING_TIMEOUT_SECONDS = 540.0


def start(way: Way, settings: Settings) -> OurWay:
    # Torch in float32 is what the others are proven by.
    if way.backend != "torch" or resolve_precision(way.precision, device="cpu") != "fp32":  # type: ignore[arg-type]
        command = [sys.executable, "-m", "benchmarks.our_baseline", way.name, json.dumps(asdict(settings))]
        done = subprocess.run(
            command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=_PREPARING_TIMEOUT_SECONDS, check=False
        )
        if done.returncode:
            raise WayUnavailable(f"its models could not be prepared: {done.stderr.strip().splitlines()[-1]}")
    return OurWay(way, settings)


def prepare(way: Way, settings: Settings) -> None:
    photos = photo_set("small", PROOF_PHOTOS, settings.drawn)
    pixels = np.stack([to_tensor(data, GEOMETRY) for _, data in photos.files])
    prepare_models(way.precision, way.backend, _folder(settings), pixels)


def _folder(settings: Settings) -> Path:
    return Path(settings.scratch) / "compiled"


class OurWay:
    def __init__(self, way: Way, settings: Settings) -> None:
        self.models = load_models(settings.models.batch_size, way.precision, way.backend, folder=_folder(settings))
        self.hollow = hollow_models(self.models)

    def about(self) -> dict[str, Any]:
        return {"precision": self.models.precision}

    def run(self, place: Place, hollow: bool) -> Outcome:
        return pipeline_baseline.run(place, self.hollow if hollow else self.models)

    def models_alone(self, tensors: np.ndarray) -> Outcome:
        return models_baseline.run_uint8(tensors, self.models)

    def parts(self, place: Place) -> dict[str, float]:
        from benchmarks import parts

        return parts.of_pipeline(place, self.models)

    def close(self) -> None:
        pass


if __name__ == "__main__":
    prepare(BY_NAME[sys.argv[1]], Settings(**json.loads(sys.argv[2])))
