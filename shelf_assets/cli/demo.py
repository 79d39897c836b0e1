"""`shelf demo`: lands photos, runs their days and prints a summary. Landing and summary are in the room `demo`."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from shelf_assets.cli import console
from shelf_assets.days import days_between, today_utc


@console.readable_errors("graph", "models")
def demo(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of your own photos; without it, the drawn photos of the package.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=60, help="Number of days, ending yesterday; the photos are dealt over them.")
    ] = 3,
) -> None:
    """Land photos, materialize the whole graph through Dagster, and show the result."""
    from shelf_assets.build import build_defs, build_models, open_lake
    from shelf_assets.defs.instance import open_instance
    from shelf_assets.defs.running import run_days, select_assets
    from shelf_assets.demo.landing import land_folder, land_shipped
    from shelf_assets.demo.summary import summarize
    from shelf_assets.intake.photo_folder import open_folder
    from shelf_assets.observe.terminal import watching

    started = time.perf_counter()
    settings = console.prepared_settings()
    lake = open_lake(settings)
    last = today_utc() - timedelta(days=1)
    span = days_between(last - timedelta(days=days - 1), last)
    if photos:
        folder = open_folder(photos, settings.photos.max_bytes)
        console.out.print(folder.notice, end="\n" if folder.notice else "", markup=False)
        landed = land_folder(lake, span, folder)
    else:
        landed = land_shipped(lake, span)
    with console.out.status("landing photos"):
        count = sum(1 for _ in landed)
    console.out.print(f"{count:,} photos landed for {span[0]} to {span[-1]} in {lake.url}")

    defs = build_defs(settings)
    with open_instance(settings) as instance, watching(console.out, settings.home):
        run_days(defs, instance, span, select_assets(defs, None))
    models = build_models(settings, lake).resolved
    summarize(console.out, lake, span, models, settings.bi.marts_path, settings.home / "contact-sheet.png")
    console.out.print(f"{time.perf_counter() - started:.0f} s in total; open it with: make dev")
