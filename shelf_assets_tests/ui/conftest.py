"""One running UI for these tests, with one day and one backfill materialized through it, and one browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from shelf_assets.build import open_lake
from shelf_assets.days import days_between, today_utc
from shelf_assets.demo.shipped_photos import shipped_photos_of
from shelf_assets.intake.put_photos import land
from shelf_assets.lake.lake import Lake
from shelf_assets.settings import load_settings
from shelf_assets_tests.ui.servers import DagsterUi, dagster_ui

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without these, Chromium requests hosts of its vendor at every start.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHOTOS_PER_DAY = 6


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium from the operating system, because playwright's own needs a download."""
    if not CHROMIUM:
        pytest.skip(
            "Chromium is missing: install chromium with the system's package manager (`make test` does, as root)"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Materialized:
    """`backfilled` days have tensors; `whole_day`, the newest, has run through the whole graph; photos of `nobodys` only landed."""

    ui: DagsterUi
    lake: Lake
    backfilled: list[date]
    whole_day: date
    nobodys: date
    marts: Path


@pytest.fixture(scope="session")
def materialized(parsed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Materialized]:
    home = shutil.copytree(parsed_home, tmp_path_factory.mktemp("ui") / "home")
    # In one process: the test is of the way from a button to the tables, and each process costs ten seconds.
    settings = load_settings(
        {}, home=home, models__set="embedded", dagster__executor="in_process", dagster__arrivals_interval_seconds=10
    )
    lake = open_lake(settings)
    *backfilled, whole_day = days = days_between(today_utc() - timedelta(days=3), today_utc() - timedelta(days=1))
    nobodys = days[0] - timedelta(days=2)
    for position, day in enumerate([nobodys, *days]):
        list(land(lake.objects, day, shipped_photos_of(position, len(days) + 1)[:PHOTOS_PER_DAY]))
    with dagster_ui(settings, home / "logs") as ui:
        run = ui.launch(ui.assets(), whole_day)
        backfill = ui.backfill(["raw_images", "image_tensors"], backfilled)
        ui.wait_for_run(run)
        ui.wait_for_backfill(backfill)
        yield Materialized(ui, lake, backfilled, whole_day, nobodys, settings.bi.marts_path)
