"""Lanes: every test that starts a server or a browser, kills a process or trains a model has the marker of its lane."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from shelf_assets_tests.lanes import LANE_BY_PLACE, LANES, ROOT, lanes_of


@pytest.mark.parametrize(
    ("fixtures", "markers", "place", "expected"),
    [
        (["tmp_path", "disk_lake"], [], "lake/test_rules.py", set()),
        (["tmp_path", "s3_lake", "s3_server"], [], "lake/test_rules.py", {"server"}),
        (["lake"], ["s3"], "lake/test_rules.py", {"server"}),
        (["counted_in"], ["redis"], "http/test_rate_limits.py", {"server"}),
        (["shop", "runs"], [], "stories/test_killed.py", {"kill"}),
        (["materialized", "browser"], ["slow"], "ui/test_dagster_ui.py", {"browser"}),
        (["client", "api"], [], "intake/test_uploads.py", {"server"}),
        ([], [], "intake/test_presigned.py", set()),
        ([], [], "training/test_projection.py", {"training"}),
        ([], [], "photos/test_decoder_pool.py", {"kill"}),
        (["s3_server", "runs"], [], "stories/test_killed.py", {"server", "kill"}),
    ],
)
def test_lane_follows_fixtures_markers_and_place(
    fixtures: list[str], markers: list[str], place: str, expected: set[str]
) -> None:
    assert lanes_of(fixtures, markers, PurePath(place)) == expected


@pytest.mark.parametrize("place", LANE_BY_PLACE)
def test_every_place_with_a_lane_exists(place: str) -> None:
    assert (ROOT / place).exists(), f"{place} was moved: change its place in lanes.py"


@pytest.mark.parametrize("store", [pytest.param("s3", marks=pytest.mark.s3)])
def test_collection_adds_the_lanes(store: str, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("server"), f"conftest.py does not import the hook of lanes.py for {store}"


def test_every_collected_test_has_its_lanes(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        markers = {marker.name for marker in item.iter_markers()}
        missing = lanes_of(getattr(item, "fixturenames", ()), markers, item.path.relative_to(ROOT)) - markers
        assert not missing, f"{item.nodeid} lacks {missing}"


def test_every_lane_is_a_registered_marker(pytestconfig: pytest.Config) -> None:
    registered = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert set(LANES) <= registered
