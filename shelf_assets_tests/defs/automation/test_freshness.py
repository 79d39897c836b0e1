"""Freshness: every asset that a nightly run makes has a due time; `landing` has none."""

from __future__ import annotations

import dagster as dg
import pytest

from shelf_assets.defs.automation.freshness import due_in_the_morning
from shelf_assets.settings import load_settings
from shelf_assets_tests.graph import Graph


def test_every_asset_is_due_in_the_morning(graph: Graph) -> None:
    ours = graph.assets.materializable_asset_keys
    policy = due_in_the_morning(load_settings({}).dagster.nightly_hour_utc)
    without = [key.to_user_string() for key in ours if graph.assets.get(key).freshness_policy != policy]
    assert ours and not without


def test_landing_has_no_freshness_deadline(graph: Graph) -> None:
    assert graph.assets.get(dg.AssetKey("landing")).freshness_policy is None


@pytest.mark.parametrize(("hour", "deadline"), [(0, "0 5 * * *"), (1, "0 6 * * *"), (22, "0 3 * * *")])
def test_freshness_deadline_follows_the_nightly_hour(hour: int, deadline: str) -> None:
    assert due_in_the_morning(hour).deadline_cron == deadline
