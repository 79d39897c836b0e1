"""Freshness: whatever a nightly run makes has a due time, and the landing has none."""

from __future__ import annotations

import dagster as dg

from shelf_assets.automation.freshness import DUE_BY_SIX_UTC
from shelf_assets_tests.graph import Graph


def test_every_asset_of_ours_is_due_in_the_morning(graph: Graph) -> None:
    ours = graph.assets.materializable_asset_keys
    without = [key.to_user_string() for key in ours if graph.assets.get(key).freshness_policy != DUE_BY_SIX_UTC]
    assert ours and not without


def test_the_landing_may_be_silent(graph: Graph) -> None:
    assert graph.assets.get(dg.AssetKey("landing")).freshness_policy is None
