"""Licences of the code, and of the weights and training data as stated in the model cards."""

from __future__ import annotations

import json
import tomllib

from shelf_assets.models.embedded import PROJECTION_CARD, embedded_config
from shelf_assets_tests.conftest import repo_root

WEIGHTS = (".pth", ".safetensors")


def test_package_declares_the_licence_that_it_ships() -> None:
    project = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]
    text = (repo_root / "LICENSE").read_text()
    assert project["license"] == "Apache-2.0" and project["license-files"] == ["LICENSE"]
    assert "Apache License" in text and "Copyright 2026 The shelf_assets authors" in text


def test_every_embedded_weights_file_states_its_licence_and_training_data() -> None:
    files = [file for file in embedded_config()["files"].values() if file["filename"].endswith(WEIGHTS)]
    assert len(files) == 2
    assert all(file["license"] and file["training_data"] for file in files)


def test_projection_card_states_its_licence_and_its_data() -> None:
    card = json.loads(PROJECTION_CARD.read_text())
    assert card["license"] == "Apache-2.0"
    assert card["built_on"] and any("MIT" in source for source in card["data"])
