"""The product as one of the baselines: its models on one backend and precision. The stages are in `pipeline_baseline`."""

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
    Baseline,
    BaselineUnavailable,
    BenchOptions,
    Outcome,
    load_models,
    prepare_models,
    stub_models,
)
from benchmarks.photos import REPO_ROOT, photo_set
from benchmarks.place import Place
from shelf_assets.models.precision import resolve_precision
from shelf_assets.vision.preprocess import to_tensor

# For the parity check of a backend and for int8 calibration: start-up, not work.
PROOF_PHOTOS = 64
_PREPARING_TIMEOUT_SECONDS = 540.0


def start(baseline: Baseline, options: BenchOptions) -> OurBaseline:
    # Torch in float32 is the reference of the parity check, so it needs no preparation.
    if baseline.backend != "torch" or resolve_precision(baseline.precision, device="cpu") != "fp32":  # type: ignore[arg-type]
        command = [sys.executable, "-m", "benchmarks.our_baseline", baseline.name, json.dumps(asdict(options))]
        done = subprocess.run(
            command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=_PREPARING_TIMEOUT_SECONDS, check=False
        )
        if done.returncode:
            raise BaselineUnavailable(f"its models could not be prepared: {done.stderr.strip().splitlines()[-1]}")
    return OurBaseline(baseline, options)


def prepare(baseline: Baseline, options: BenchOptions) -> None:
    photos = photo_set("small", PROOF_PHOTOS, options.drawn)
    pixels = np.stack([to_tensor(data, GEOMETRY) for _, data in photos.files])
    prepare_models(baseline.precision, baseline.backend, _folder(options), pixels)


def _folder(options: BenchOptions) -> Path:
    return Path(options.scratch) / "compiled"


class OurBaseline:
    def __init__(self, baseline: Baseline, options: BenchOptions) -> None:
        self.models = load_models(options.batch_size, baseline.precision, baseline.backend, folder=_folder(options))
        self.stub = stub_models(self.models)

    def about(self) -> dict[str, Any]:
        return {"precision": self.models.precision}

    def run(self, place: Place, stub: bool) -> Outcome:
        return pipeline_baseline.run(place, self.stub if stub else self.models)

    def models_alone(self, tensors: np.ndarray) -> Outcome:
        return models_baseline.run_uint8(tensors, self.models)

    def parts(self, place: Place) -> dict[str, float]:
        from benchmarks import parts

        return parts.of_pipeline(place, self.models)

    def close(self) -> None:
        pass


if __name__ == "__main__":
    prepare(BY_NAME[sys.argv[1]], BenchOptions(**json.loads(sys.argv[2])))
