"""Choosing models: no silent fallback, and no changed weights. Weights here have a few bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shelf_assets.models.catalogue import ResolvedModels, resolve_models
from shelf_assets.models.errors import ModelDigestMismatch, SilentFallbackRefused, WeightsUnavailable
from shelf_assets.vision.digests import file_digest
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.models.conftest import TINY_CLASSIFIER, TINY_EMBEDDER, Hub, put_in_cache


def resolve_tiny(model_set: str, record: Path, cache: Path, **options: object) -> ResolvedModels:
    return resolve_models(
        model_set, TINY_CLASSIFIER, TINY_EMBEDDER, cache_dir=cache, on_cluster=False, digest_record=record, **options
    )


def cache_both(cache: Path) -> None:
    put_in_cache(cache, f"timm/{TINY_CLASSIFIER}", "model.safetensors", b"classifier")
    put_in_cache(cache, "shelf/tiny", "open_clip_model.safetensors", b"embedder")


def test_auto_is_refused_on_a_cluster() -> None:
    with pytest.raises(SilentFallbackRefused, match="choose production or embedded"):
        resolve_models("auto", on_cluster=True)


def test_auto_offline_without_weights_runs_embedded_models_with_a_warning(tmp_path: Path) -> None:
    resolved = resolve_models("auto", cache_dir=tmp_path, on_cluster=False, require_offline=True)
    assert resolved.ran == "embedded"
    assert resolved.warning is not None
    assert "resnet50.a1_in1k" in resolved.warning and "ViT-B-32/laion2b_s34b_b79k" in resolved.warning


def test_auto_with_one_model_missing_does_not_mix_the_sets(tmp_path: Path, record: Path) -> None:
    put_in_cache(tmp_path, f"timm/{TINY_CLASSIFIER}", "model.safetensors", b"classifier")
    resolved = resolve_tiny("auto", record, tmp_path, require_offline=True)
    assert (resolved.ran, resolved.classifier.source, resolved.embedder.source) == ("embedded", "packaged", "packaged")
    assert resolved.warning is not None and TINY_EMBEDDER in resolved.warning


def test_auto_runs_production_from_the_cache_without_asking_the_hub(tmp_path: Path, record: Path, hub: Hub) -> None:
    cache_both(tmp_path)
    resolved = resolve_tiny("auto", record, tmp_path)
    assert (resolved.ran, resolved.warning) == ("production", None)
    assert hub.requests == []


def test_auto_runs_production_when_the_hub_answers(tmp_path: Path, record: Path, hub: Hub) -> None:
    hub.files = {
        f"timm/{TINY_CLASSIFIER}/model.safetensors": b"classifier",
        "shelf/tiny/open_clip_pytorch_model.bin": b"old",
    }
    resolved = resolve_tiny("auto", record, tmp_path)
    assert resolved.ran == "production"
    (weights,) = resolved.embedder.files
    assert (weights.filename, weights.path) == ("open_clip_pytorch_model.bin", None)
    assert not any(request.startswith("GET") for request in hub.requests), "resolving downloads nothing"


def test_digest_is_the_same_before_and_after_the_download(tmp_path: Path, record: Path, hub: Hub) -> None:
    hub.files = {
        f"timm/{TINY_CLASSIFIER}/model.safetensors": b"classifier",
        "shelf/tiny/open_clip_model.safetensors": b"embedder",
    }
    before = resolve_tiny("production", record, tmp_path)
    cache_both(tmp_path)
    after = resolve_tiny("production", record, tmp_path)
    assert after.classifier.model_digest == before.classifier.model_digest
    assert after.embedder.model_digest == before.embedder.model_digest


def test_production_offline_without_weights_is_refused_with_a_hint(tmp_path: Path, record: Path) -> None:
    with pytest.raises(
        WeightsUnavailable, match="Fetch them on a machine with a network, or choose the embedded models"
    ):
        resolve_tiny("production", record, tmp_path, require_offline=True)


def test_production_with_a_hub_that_lacks_the_weights_is_an_error(tmp_path: Path, record: Path, hub: Hub) -> None:
    with pytest.raises(WeightsUnavailable, match="the hub does not provide them"):
        resolve_tiny("production", record, tmp_path)


def test_weights_that_changed_under_a_recorded_name_are_refused(tmp_path: Path, record: Path) -> None:
    cache_both(tmp_path)
    recorded = resolve_tiny("production", record, tmp_path).classifier.files[0].sha256
    path = put_in_cache(tmp_path, f"timm/{TINY_CLASSIFIER}", "model.safetensors", b"swapped")
    with pytest.raises(ModelDigestMismatch) as refused:
        resolve_tiny("production", record, tmp_path)
    assert (refused.value.name, refused.value.recorded) == (TINY_CLASSIFIER, recorded)
    assert refused.value.found == file_digest(path)
    assert f"remove {TINY_CLASSIFIER!r} from {record}" in str(refused.value)


def test_auto_does_not_replace_changed_weights_by_embedded_models(tmp_path: Path, record: Path) -> None:
    cache_both(tmp_path)
    resolve_tiny("auto", record, tmp_path)
    put_in_cache(tmp_path, f"timm/{TINY_CLASSIFIER}", "model.safetensors", b"swapped")
    with pytest.raises(ModelDigestMismatch):
        resolve_tiny("auto", record, tmp_path)


def test_digest_changes_with_weights_and_with_precision(tmp_path: Path, record: Path) -> None:
    cache_both(tmp_path)
    fp32 = resolve_tiny("production", record, tmp_path, precision="fp32").classifier
    bf16 = resolve_tiny("production", record, tmp_path, precision="bf16").classifier
    other_weights = put_in_cache(tmp_path / "other", f"timm/{TINY_CLASSIFIER}", "model.safetensors", b"tuned")
    put_in_cache(tmp_path / "other", "shelf/tiny", "open_clip_model.safetensors", b"embedder")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"weights": {}}))
    tuned = resolve_tiny("production", record, tmp_path / "other", precision="fp32").classifier
    assert tuned.files[0].path == other_weights
    assert len({fp32.model_digest, bf16.model_digest, tuned.model_digest}) == 3


def test_preprocess_digest_follows_the_geometry_and_the_model(tmp_path: Path, record: Path) -> None:
    cache_both(tmp_path)
    tiny = resolve_tiny("production", record, tmp_path)
    embedded = resolve_models("embedded", on_cluster=False)
    crop, pad = {"fit": "crop", "size_px": 224}, {"fit": "pad", "size_px": 224}
    digests = {
        tiny.classifier.preprocess_digest(crop),
        tiny.classifier.preprocess_digest(pad),
        tiny.embedder.preprocess_digest(crop),
        embedded.embedder.preprocess_digest(crop),
    }
    assert len(digests) == 4
    # The order of keys does not matter, and both embedded models use the same preprocessing.
    turned = dict(reversed(crop.items()))
    assert embedded.classifier.preprocess_digest(turned) == embedded.embedder.preprocess_digest(crop)


def test_resolving_without_torch_gives_equal_digests_everywhere() -> None:
    here = resolve_models("embedded", on_cluster=False, precision="fp32")
    program = (
        "import sys, json; from shelf_assets.models.catalogue import resolve_models;"
        "r = resolve_models('auto', on_cluster=False, precision='fp32', require_offline=True);"
        "heavy = [m for m in ('torch', 'timm', 'open_clip', 'transformers') if m in sys.modules];"
        "print(json.dumps([r.classifier.model_digest, r.embedder.model_digest, heavy]))"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=repo_root, check=True)
    assert json.loads(child.stdout) == [here.classifier.model_digest, here.embedder.model_digest, []]
