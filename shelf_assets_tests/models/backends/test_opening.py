"""Opening a model: exported once, compared on its first photos, run without torch afterwards, refused where it differs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import pytest

from shelf_assets.models.backends.opening import PROOF_IMAGES, OpenModel
from shelf_assets.models.backends.parity import BackendRefused
from shelf_assets.models.backends.store import CompiledModels
from shelf_assets.models.classifier import Classifier
from shelf_assets.models.defaults import ParityLimits
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.embedder import Embedder
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import has_bf16
from shelf_assets_tests.models.embedding import embed_images

pytest.importorskip("openvino", reason="OpenVINO is not installed (extra models)")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CompiledModels:
    """Shared by the module, because exporting takes seconds."""
    return CompiledModels(tmp_path_factory.mktemp("compiled"))


def exported(store: CompiledModels, task: str, **limits: float) -> OpenModel:
    spec = replace(embedded_spec(task, "fp32"), backend="openvino")  # type: ignore[arg-type]
    return OpenModel(spec, store, device="cpu", limits=ParityLimits(**limits))


def test_exported_model_gives_the_same_answers(
    store: CompiledModels, classifier: Classifier, embedder: Embedder, plain_batch: np.ndarray
) -> None:
    labels = exported(store, "classifier")
    np.testing.assert_allclose(
        labels.submit(plain_batch)(), classifier.probabilities(plain_batch).numpy(), atol=1e-4, rtol=1e-3
    )
    assert labels.card.labels == tuple(classifier.names)
    vectors = exported(store, "embedder").submit(plain_batch)()
    np.testing.assert_allclose(vectors, embed_images(embedder, plain_batch), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_answer_is_independent_of_the_batch(store: CompiledModels, plain_batch: np.ndarray) -> None:
    model = exported(store, "embedder")
    together = model.submit(np.concatenate([plain_batch] * 7))()
    for size in (1, 3):
        np.testing.assert_allclose(model.submit(plain_batch[:size])(), together[:size], atol=1e-5)


def test_backend_below_the_parity_limit_is_refused(store: CompiledModels, plain_batch: np.ndarray) -> None:
    with pytest.raises(
        BackendRefused, match=r"tf_efficientnet_lite0.embedded in fp32 on openvino.*SHELF_MODELS_BACKEND"
    ):
        exported(store, "classifier", cosine=1.1).submit(plain_batch)


def test_parity_of_few_photos_grows_with_more_photos(tmp_path: Path, plain_batch: np.ndarray) -> None:
    store = CompiledModels(tmp_path)
    exported(store, "classifier").submit(plain_batch[:1])()
    model = exported(store, "classifier")
    parity = model.card.parity
    assert parity is not None and parity.photos == 1

    photos = np.concatenate([plain_batch] * 28)
    for start in range(0, len(photos), 12):
        model.submit(photos[start : start + 12])()

    grown = model.card.parity
    assert grown is not None and grown.photos >= PROOF_IMAGES and grown.top1_agreement == 1
    assert grown.photos < 3 * PROOF_IMAGES


def test_exported_model_runs_without_torch(store: CompiledModels, plain_batch: np.ndarray) -> None:
    exported(store, "classifier").submit(np.concatenate([plain_batch] * 24))()
    code = f"""
import json, sys
import numpy as np
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path
from shelf_assets.models.backends.opening import OpenModel
from shelf_assets.models.backends.store import CompiledModels
from shelf_assets.models.embedded import embedded_spec

model = OpenModel(replace(embedded_spec("classifier", "fp32"), backend="openvino"), CompiledModels(Path({str(store.folder)!r})))
shape = model.submit(np.zeros((16, 3, 224, 224), np.uint8))().shape
print(json.dumps([shape, [name for name in ("torch", "timm", "openvino_telemetry") if sys.modules.get(name)]]))
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout.splitlines()[-1]) == [[16, 1000], []]


def prove_a_few(folder: Path) -> None:
    """The work of a step's process on a day of two photos, which exits without closing the model."""
    exported(CompiledModels(folder), "classifier").submit(np.zeros((2, 3, 224, 224), np.uint8))()


def test_closing_a_model_ends_its_reference_process(tmp_path: Path, plain_batch: np.ndarray) -> None:
    before = set(active_children())
    model = exported(CompiledModels(tmp_path), "classifier")
    model.submit(plain_batch)()
    assert set(active_children()) - before, "three photos are too few for a parity, so the reference must still run"
    model.close()
    assert not set(active_children()) - before
    model.submit(plain_batch)()  # the network may still be used
    model.close()


def test_step_with_few_photos_ends_its_process(tmp_path: Path) -> None:
    """The reference process still runs; Dagster's steps are multiprocessing children, which join their own children at exit."""
    step = get_context("spawn").Process(target=prove_a_few, args=(tmp_path,))
    step.start()
    step.join(timeout=180)
    ended = step.exitcode
    step.kill()
    assert ended == 0


def test_openvino_telemetry_is_disabled(store: CompiledModels) -> None:
    _ = exported(store, "classifier").network
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.skipif(has_bf16(), reason="this CPU computes in bf16")
def test_bf16_on_unsupported_cpu_is_refused(store: CompiledModels) -> None:
    spec = replace(embedded_spec("classifier", "bf16"), backend="openvino")
    with pytest.raises(ModelError, match=r"SHELF_MODELS_PRECISION=bf16.*choose fp32"):
        _ = OpenModel(spec, store, device="cpu").network


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16 arithmetic")
def test_bf16_embeddings_stay_within_the_parity_limit(store: CompiledModels, plain_batch: np.ndarray) -> None:
    spec = replace(embedded_spec("embedder", "bf16"), backend="openvino")
    model = OpenModel(spec, store, device="cpu")
    model.submit(plain_batch)()
    assert model.card.parity is not None and 0.995 < model.card.parity.cosine_mean <= 1
