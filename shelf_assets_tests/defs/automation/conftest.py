"""The graph for the tests in this folder, built once because it needs dbt's project to be parsed."""

from __future__ import annotations

import pytest

from shelf_assets_tests.graph import Graph, built_graph


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return built_graph(tmp_path_factory.mktemp("automation"))
