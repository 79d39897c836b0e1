"""Production models: named models with weights from a hub, or random ones. The hub runs on loopback."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save

from shelf_assets.models.catalogue import resolve_models
from shelf_assets.models.classifier import load_classifier
from shelf_assets.models.embedder import load_embedder
from shelf_assets.models.errors import ModelDigestMismatch
from shelf_assets_tests.models.conftest import TINY_CLASSIFIER, TINY_EMBEDDER, Hub
from shelf_assets_tests.models.embedding import embed_images

TINY_CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture
def tiny_hub(hub: Hub, tmp_path: Path) -> Hub:
    """A hub with two tiny models with known weights."""
    config = tmp_path / "shelf-tiny.json"
    config.write_text(json.dumps(TINY_CONFIG))
    open_clip.add_model_config(config)
    torch.manual_seed(7)
    classifier = timm.create_model("test_resnet", pretrained=False)
    embedder = open_clip.create_model("shelf-tiny", load_weights=False)
    hub.files = {
        f"timm/{TINY_CLASSIFIER}/model.safetensors": save(classifier.state_dict()),
        "shelf/tiny/open_clip_model.safetensors": save(embedder.state_dict()),
    }
    return hub


def test_named_models_run_with_hub_weights_and_constants(
    tiny_hub: Hub, record: Path, tmp_path: Path, plain_batch: np.ndarray
) -> None:
    resolved = resolve_models(
        "production",
        TINY_CLASSIFIER,
        TINY_EMBEDDER,
        cache_dir=tmp_path / "cache",
        on_cluster=False,
        precision="fp32",
        digest_record=record,
    )
    classifier = load_classifier(resolved.classifier, device="cpu")
    embedder = load_embedder(resolved.embedder, device="cpu")
    torch.manual_seed(7)
    reference = timm.create_model("test_resnet", pretrained=False).eval()
    towers = open_clip.create_model("shelf-tiny", load_weights=False).eval()
    with torch.inference_mode():
        logits = reference(classifier.pixels(plain_batch))
        vectors = towers.encode_image(embedder.pixels(plain_batch), normalize=True)
        words = towers.encode_text(open_clip.get_tokenizer("shelf-tiny")(["oat milk"]), normalize=True)
    torch.testing.assert_close(classifier.probabilities(plain_batch), torch.softmax(logits, dim=1))
    np.testing.assert_allclose(embed_images(embedder, plain_batch), vectors.numpy(), atol=1e-5)
    np.testing.assert_allclose(embedder.embed_texts(["oat milk"]), words.numpy(), atol=1e-5)
    assert (embedder.dimension, resolved.classifier.mean) == (32, (0.4, 0.5, 0.6))


def test_download_with_wrong_digest_is_refused(tiny_hub: Hub, record: Path, tmp_path: Path) -> None:
    resolved = resolve_models(
        "production",
        TINY_CLASSIFIER,
        TINY_EMBEDDER,
        cache_dir=tmp_path / "cache",
        on_cluster=False,
        digest_record=record,
    )
    tiny_hub.files[f"timm/{TINY_CLASSIFIER}/model.safetensors"] += b"more"
    with pytest.raises(ModelDigestMismatch, match=resolved.classifier.files[0].sha256):
        load_classifier(resolved.classifier, device="cpu")


def test_random_models_are_reproducible_and_warn(tmp_path: Path, plain_batch: np.ndarray) -> None:
    resolved = resolve_models(
        "production", "test_resnet@random", "ViT-B-32@random", cache_dir=tmp_path, on_cluster=False
    )
    assert resolved.warning is not None and "test_resnet.r160_in1k@random" in resolved.warning
    spec = resolved.classifier
    other_seed = replace(spec, random_seed=1)
    assert other_seed.model_digest != spec.model_digest
    before = torch.random.get_rng_state()
    first, second = (load_classifier(spec, device="cpu").predict(plain_batch).scores for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state()), "loading a model must not seed the caller's generator"


@pytest.mark.slow
def test_production_architectures_run_with_random_weights(tmp_path: Path, plain_batch: np.ndarray) -> None:
    resolved = resolve_models(
        "production",
        "resnet50.a1_in1k@random",
        "ViT-B-32/laion2b_s34b_b79k@random",
        cache_dir=tmp_path,
        on_cluster=False,
        precision="fp32",
    )
    assert (resolved.ran, resolved.classifier.model_id) == ("production", "resnet50.a1_in1k@random")
    output = load_classifier(resolved.classifier, device="cpu").predict(plain_batch)
    assert output.scores.shape == (3, 5)
    embedder = load_embedder(resolved.embedder, device="cpu")
    pictures, words = embed_images(embedder, plain_batch), embedder.embed_texts(["milk", "bread"])
    assert (pictures.shape, words.shape, embedder.dimension) == ((3, 512), (2, 512), 512)
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1, atol=1e-5)
