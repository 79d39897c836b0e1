"""The graph for every test of this room: built once, since dbt's project is parsed for it."""

from __future__ import annotations

import pytest

from shelf_assets_tests.graph import Graph, built_graph


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return built_graph(tmp_path_factory.mktemp("automation"))
