"""A photo that arrives months late: its day runs through the whole graph again, and no other day does."""

from __future__ import annotations

import dagster as dg
import pytest

from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.registry import STAGE_NAMES, prediction_stages
from shelf_assets_tests.defs.automation.ticks import OLD_DAY, Ticks, only
from shelf_assets_tests.graph import Graph

PREDICTIONS = tuple(stage.name for stage in prediction_stages())


@pytest.fixture
def ticks(graph: Graph) -> Ticks:
    """The graph, one tick after its deployment."""
    deployed = Ticks(graph.defs)
    deployed.tick()
    return deployed


@pytest.fixture
def marts_of_intake(graph: Graph) -> tuple[str, ...]:
    """The marts that read `raw_images` only."""
    return completed_by("raw_images", graph)


def completed_by(stage: str, graph: Graph) -> tuple[str, ...]:
    """The marts whose last upstream stage is `stage`."""
    found = []
    for key in graph.assets.materializable_asset_keys:
        if graph.assets.get(key).group_name == "marts":
            read = {parent.to_user_string() for parent in graph.assets.get(key).parent_keys}
            if max(read, key=STAGE_NAMES.index) == stage:
                found.append(key.to_user_string())
    return tuple(found)


def test_first_ticks_after_deploy_request_nothing(graph: Graph) -> None:
    """At first hundreds of days are missing. Running all of them is a decision for people."""
    fresh = Ticks(graph.defs)
    assert fresh.tick() == {}
    assert fresh.tick() == {}


def test_late_photo_reruns_every_asset_of_its_day(ticks: Ticks, graph: Graph) -> None:
    ticks.landed(OLD_DAY)
    assert ticks.tick() == only(OLD_DAY, "raw_images")
    ticks.made("raw_images", OLD_DAY)
    assert ticks.tick() == only(OLD_DAY, "image_tensors", *completed_by("raw_images", graph))
    ticks.made("image_tensors", OLD_DAY)
    assert ticks.tick() == only(OLD_DAY, *PREDICTIONS)
    assert "daily_label_popularity" in completed_by("classifications", graph)
    assert "pipeline_cost_daily" in completed_by(PREDICTIONS[-1], graph)
    for stage in PREDICTIONS:
        ticks.made(stage, OLD_DAY)
        assert ticks.tick() == only(OLD_DAY, *completed_by(stage, graph))
    assert ticks.tick() == {}


def test_second_late_photo_reruns_the_day(ticks: Ticks, marts_of_intake: tuple[str, ...]) -> None:
    for _ in range(2):
        ticks.landed(OLD_DAY)
        assert ticks.tick() == only(OLD_DAY, "raw_images")
        ticks.made("raw_images", OLD_DAY)
        assert ticks.tick() == only(OLD_DAY, "image_tensors", *marts_of_intake)


def test_pending_request_of_a_day_is_not_repeated(ticks: Ticks) -> None:
    ticks.landed(OLD_DAY)
    ticks.tick()
    assert ticks.tick() == {}, "a pending request must not be repeated"


def test_raw_images_run_does_not_request_itself_again(ticks: Ticks, marts_of_intake: tuple[str, ...]) -> None:
    """A run of `raw_images` reports the landing that it has listed. Only downstream assets may react to it."""
    ticks.landed(OLD_DAY)
    ticks.made("raw_images", OLD_DAY)
    assert ticks.tick() == only(OLD_DAY, "image_tensors", *marts_of_intake)


def test_failed_blocking_check_stops_downstream_requests(ticks: Ticks, marts_of_intake: tuple[str, ...]) -> None:
    ticks.landed(OLD_DAY)
    ticks.tick()
    ticks.made("raw_images", OLD_DAY, passed=False)
    assert ticks.tick() == {}
    ticks.made("raw_images", OLD_DAY, passed=True)
    assert ticks.tick() == only(OLD_DAY, "image_tensors", *marts_of_intake)


def test_eager_condition_misses_a_late_photo(graph: Graph) -> None:
    """The reason for `late_safe`: if this test fails, `eager()` can replace it."""
    eager = graph.defs.map_asset_specs(
        func=lambda spec: spec.replace_attributes(
            automation_condition=dg.AutomationCondition.eager() if spec.automation_condition else None
        )
    )
    ticks = Ticks(eager)
    ticks.tick()
    ticks.landed(OLD_DAY)
    assert ticks.tick() == {}


def test_every_asset_uses_the_late_safe_condition(graph: Graph) -> None:
    """With a plain `eager()`, a late photo would stop at that asset."""
    for key in graph.assets.materializable_asset_keys:
        assert graph.assets.get(key).automation_condition == late_safe, key
