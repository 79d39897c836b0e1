"""What a person sees: the graph, and a day that was made, in a real browser. The picture is the one in the README:
SHELF_TEST_KEEP_PICTURES=docs/pictures keeps it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelf_assets.defs.partitions import daily
from shelf_assets_tests.ui.conftest import Materialized

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(1800)]

KEPT_IN = os.environ.get("SHELF_TEST_KEEP_PICTURES")  # now: the tests' UI runs without any setting of ours
SIZE_PX = {"width": 2880, "height": 1440}
GROUPS = ("intake", "vision", "marts")
# What the sidebar says of the asset itself stays open; the rest would push the days out of the picture.
FOLDED = ("Metadata plots", "Pool", "Backfill policy", "Automation", "Code Version", "Config", "Required resources")
FOLDED += ("Metadata", "Type", "Underlying Ops")
STORED = {f"sidebar-{section}": "false" for section in FOLDED} | {
    "dagster-nav-collapsed": "true",
    "large-screen-nav-open": "false",
    "defaultZoom": "0.75",
}


def test_the_graph_and_the_days_that_were_made_are_not_seen(
    materialized: Materialized, browser: object, tmp_path: Path
) -> None:
    page = browser.new_page(viewport=SIZE_PX)  # type: ignore[attr-defined]
    page.add_init_script("".join(f"localStorage[{name!r}] = {value!r};" for name, value in STORED.items()))
    expanded = ",".join(f"global@global:{group}" for group in GROUPS)
    page.goto(f"{materialized.ui.url}/asset-groups/image_tensors?expanded={expanded}")

    made = len(materialized.backfilled) + 1
    page.get_by_text(f"{made}/{len(daily.get_partition_keys())}").wait_for(timeout=120_000)
    page.locator('button:has([aria-label="panel_show_right"])').last.click()
    for name in ("raw_images", "image_tensors", "classifications", "clip_embeddings", "daily_intake_quality"):
        assert page.get_by_text(name, exact=True).first.is_visible(), name
    page.get_by_text("Loading...").first.wait_for(state="detached", timeout=120_000)
    page.wait_for_timeout(1_500)  # the graph slides to its place

    picture = tmp_path / "dagster-ui.png"
    page.screenshot(path=picture)
    colours = np.unique(np.asarray(Image.open(picture).convert("P")))
    assert len(colours) > 10, "the picture is empty"
    if KEPT_IN:
        shutil.copy(picture, KEPT_IN)
