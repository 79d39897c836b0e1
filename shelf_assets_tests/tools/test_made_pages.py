"""Generated pages and pictures are up to date with the code; `make docs` writes them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from shelf_assets.registry import STAGE_NAMES
from shelf_assets.settings import FORMER_NAMES, leaves
from tools import architecture, settings_reference
from tools.rooms import imported_rooms, purpose_of, rooms


def test_settings_reference_is_in_step_with_the_settings() -> None:
    assert settings_reference.PAGE.read_text(encoding="utf-8") == settings_reference.page(), "run make docs"


def test_settings_reference_names_every_variable_and_every_former_name() -> None:
    page = settings_reference.page()
    names = [name for leaf in leaves() for name in leaf.variables] + list(FORMER_NAMES)
    assert [name for name in names if f"`{name}`" not in page] == []


def test_table_of_rooms_is_in_step_with_the_code() -> None:
    page = architecture.PAGE.read_text(encoding="utf-8")
    assert architecture.TABLE_STARTS in page
    assert architecture.page(page) == page, "run make docs"


def test_architecture_picture_is_in_step_with_the_code() -> None:
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.picture(), "run make docs"


def test_architecture_picture_shows_every_stage_and_every_room() -> None:
    texts = " ".join(ElementTree.fromstring(architecture.picture()).itertext())
    assert [name for name in (*STAGE_NAMES, *(f"{room}/" for room in rooms())) if name not in texts] == []


@pytest.mark.parametrize("room", rooms())
def test_a_room_says_what_belongs_in_it_in_one_sentence(room: str) -> None:
    assert 20 < len(purpose_of(room)) < 180


def test_rooms_that_are_imported_are_found() -> None:
    assert imported_rooms()["http"] == ["lake"]
    assert "pipeline" in imported_rooms()["defs"]
