"""The whole graph as an object for tests that ask about its shape: nothing is run, and dbt's manifest is made once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from shelf_assets.settings import Settings, load_settings


@dataclass(frozen=True)
class Graph:
    """Definitions of a home folder, and the settings they were made with."""

    settings: Settings
    defs: dg.Definitions

    @cached_property
    def assets(self) -> AssetGraph:
        return self.defs.resolve_asset_graph()


def built_graph(home: Path) -> Graph:
    """The graph with its home in `home`. Building adds to the environment what dbt reads; that is undone afterwards."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("SHELF_")]:
        del os.environ[name]
    os.environ["SHELF_HOME"] = str(home)
    try:
        # Importing builds a graph as well: by now with this home, so that dbt's project is parsed once for both.
        from shelf_assets.definitions import build_defs

        settings = load_settings()
        return Graph(settings, build_defs(settings))
    finally:
        os.environ.clear()
        os.environ.update(before)
