"""Lanes of the test suite: markers that a test receives from its fixtures, its other markers or its place.

`make test-fast` runs the tests outside of all lanes. The lanes: `server` (the test starts S3, Redis or an HTTP server),
`browser` (it needs the Dagster UI), `kill` (it sends signals to processes of its own), `training` (it fits a model) and
`slow` (more than about ten seconds; set by hand). `conftest.py` imports the hook below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).parent
LANES = ("server", "browser", "kill", "training", "slow")

# Only fixtures that start something themselves, because pytest also lists the fixtures that a test needs indirectly.
LANE_BY_FIXTURE = {"s3_server": "server", "redis_url": "server", "materialized": "browser", "browser": "browser"}
LANE_BY_FIXTURE |= {"api": "server", "start_api": "server", "small_api": "server", "runs": "kill"}
# Fixtures with parameters request `s3_server` and `redis_url` only while the test runs, so their parameters have these markers.
LANE_BY_MARKER = {"s3": "server", "redis": "server"}
LANE_BY_PLACE = {
    "photos/test_decoder_pool.py": "kill",
    "training": "training",
    "ui": "browser",
}


def lanes_of(fixtures: Collection[str], markers: Collection[str], place: PurePath) -> set[str]:
    """Return the lanes of a test; `place` is its file, relative to `shelf_assets_tests/`."""
    found = {lane for name, lane in LANE_BY_FIXTURE.items() if name in fixtures}
    found |= {lane for name, lane in LANE_BY_MARKER.items() if name in markers}
    return found | {lane for start, lane in LANE_BY_PLACE.items() if place.is_relative_to(start)}


def add_lanes(items: Iterable[pytest.Item]) -> None:
    """Add the markers of its lanes to every test in this folder."""
    for item in items:
        if not item.path.is_relative_to(ROOT):
            continue
        markers = {marker.name for marker in item.iter_markers()}
        fixtures = getattr(item, "fixturenames", ())
        for lane in lanes_of(fixtures, markers, item.path.relative_to(ROOT)) - markers:
            item.add_marker(lane)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs before other plugins, because `-m` deselects by markers in the same hook."""
    add_lanes(items)
