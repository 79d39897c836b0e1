"""int8: calibrated on photos, compared on others, with a digest of its own, and not saved if it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shelf_assets.models.backends.calibration import Labelled, calibrate
from shelf_assets.models.backends.opening import OpenModel
from shelf_assets.models.backends.parity import BackendRefused
from shelf_assets.models.backends.store import CompiledModels, NotCalibrated
from shelf_assets.models.defaults import ParityLimits
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.vision.engine import decode_each
from shelf_assets.vision.preprocess import Geometry
from shelf_assets_tests.stories.photos import photo

pytest.importorskip("nncf", reason="NNCF is not installed (extra calibrate)")
pytestmark = pytest.mark.slow
LENIENT = ParityLimits(0.9, 0.9, 0.5, 100)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack(list(decode_each([photo(number) for number in range(24)], Geometry())))


def test_int8_calibration_is_a_reproducible_separate_model(tmp_path: Path, pictures: np.ndarray) -> None:
    store = CompiledModels(tmp_path)
    spec = embedded_spec("embedder", "fp32")
    labels = [f"class {number % 4}" for number in range(len(pictures))]

    done = calibrate(spec, store, pictures[:16], pictures[16:], Labelled(pictures, labels), LENIENT)

    assert done.parity.photos == 8 and 0.9 < done.parity.cosine_mean < 1
    assert done.parity.labelled_photos == 24 and done.accuracy_percent is not None
    requested = replace(spec, backend="openvino", precision="int8")
    assert store.calibrated(requested) == done.spec
    assert done.spec.model_digest not in (spec.model_digest, requested.model_digest)
    model = OpenModel(done.spec, store, device="cpu", limits=LENIENT)
    answers = model.submit(pictures[16:])()
    float32 = OpenModel(replace(spec, backend="openvino"), store, device="cpu").submit(pictures[16:])()
    cosines = (answers * float32).sum(axis=1)
    assert 0.9 < cosines.mean() < 0.99999


def test_refused_calibration_is_not_stored(tmp_path: Path, pictures: np.ndarray) -> None:
    store = CompiledModels(tmp_path)
    spec = embedded_spec("classifier", "fp32")
    with pytest.raises(BackendRefused, match="in int8"):
        calibrate(spec, store, pictures[:16], pictures[16:], None, ParityLimits(cosine=0.99999))
    with pytest.raises(NotCalibrated):
        store.calibrated(replace(spec, backend="openvino", precision="int8"))
