"""Names in timm's and open_clip's registries: typos get near matches, wrong combinations are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg

from shelf_assets.models.catalogue import resolve_models
from shelf_assets.models.defaults import PRODUCTION_CLASSIFIER, PRODUCTION_EMBEDDER
from shelf_assets.models.embedded import embedded_config
from shelf_assets.models.errors import ModelError, UnknownModel
from shelf_assets.models.record import DigestRecord
from shelf_assets.models.registry import _ask_child, registered_model


@pytest.mark.parametrize("model_set", ["production", "auto"])
def test_misspelt_classifier_lists_near_matches_even_with_auto(model_set: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"unknown model 'resnet50\.a1_ink'.*resnet50\.a1_in1k.*timm\.list_models"):
        resolve_models(
            model_set,
            "resnet50.a1_ink",
            PRODUCTION_EMBEDDER,
            cache_dir=tmp_path,
            on_cluster=False,
            require_offline=True,
        )


def test_misspelt_embedder_lists_near_matches() -> None:
    with pytest.raises(UnknownModel) as unknown:
        registered_model("embedder", "vit-b-32/laion2b_s34b_b79")
    assert PRODUCTION_EMBEDDER in unknown.value.near


def test_default_models_are_registered() -> None:
    classifier, embedder = (
        registered_model("classifier", PRODUCTION_CLASSIFIER),
        registered_model("embedder", PRODUCTION_EMBEDDER),
    )
    assert (classifier.repo, classifier.image_size_px) == ("timm/resnet50.a1_in1k", 224)
    assert (embedder.repo, embedder.image_size_px) == ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 224)
    assert classifier.mean != embedder.mean, "each model must have its own constants"


def test_a_name_without_a_tag_is_completed() -> None:
    assert registered_model("classifier", "resnet50").name == PRODUCTION_CLASSIFIER


def test_feature_model_is_refused_as_a_classifier() -> None:
    with pytest.raises(ModelError, match="has no classes"):
        registered_model("classifier", "vit_small_patch14_dinov2.lvd142m")


def test_weights_of_another_activation_are_refused() -> None:
    with pytest.raises(ModelError, match="use ViT-B-32-quickgelu/openai"):
        registered_model("embedder", "ViT-B-32/openai")
    assert registered_model("embedder", "ViT-B-32-quickgelu/openai").pretrained == "openai"


def test_weights_behind_a_plain_url_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights on the hub that can be checked"):
        resolve_models("production", "legacy_senet154.in1k", cache_dir=tmp_path, on_cluster=False)


def test_embedded_constants_are_those_of_timms_registry() -> None:
    config = get_pretrained_cfg("tf_efficientnet_lite0.in1k")
    assert config is not None
    data = resolve_data_config(pretrained_cfg=config.to_dict())
    preprocess = embedded_config()["preprocess"]
    assert (preprocess["mean"], preprocess["std"]) == (list(data["mean"]), list(data["std"]))
    assert (preprocess["interpolation"], preprocess["image_size_px"]) == (data["interpolation"], data["input_size"][-1])


def test_model_facts_are_cached_for_processes_without_torch(tmp_path: Path) -> None:
    record = DigestRecord(tmp_path / "new" / "digests.json")
    model = record.registered("classifier", PRODUCTION_CLASSIFIER)
    remembered = json.loads((tmp_path / "new" / "digests.json").read_text())["registry"]
    assert [entry["repo"] for entry in remembered.values()] == [model.repo]
    assert DigestRecord(tmp_path / "new" / "digests.json").registered("classifier", PRODUCTION_CLASSIFIER) == model


@pytest.mark.slow
def test_child_process_reads_the_same_registry_facts() -> None:
    from_child = _ask_child("classifier", PRODUCTION_CLASSIFIER)
    here = dataclasses.asdict(registered_model("classifier", PRODUCTION_CLASSIFIER))
    assert from_child == json.loads(json.dumps(here))
    assert "near" in _ask_child("classifier", "resnet_fifty")
