"""The whole graph for tests of its structure: nothing is run, and dbt's manifest is made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from shelf_assets.build import build_defs
from shelf_assets.settings import Settings, load_settings


@dataclass(frozen=True)
class Graph:
    """Definitions, and the settings from which they were made."""

    settings: Settings
    defs: dg.Definitions

    @cached_property
    def assets(self) -> AssetGraph:
        return self.defs.resolve_asset_graph()


def built_graph(home: Path) -> Graph:
    """The graph of the default settings, with its home in `home`."""
    settings = load_settings({}, home=home)
    return Graph(settings, build_defs(settings))
