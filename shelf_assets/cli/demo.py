"""`shelf demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shelf_assets.cli import console


@console.readable_errors()
def demo(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of your own photos; without it the project draws some.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days, ending yesterday.")] = 3,
    photos_per_day: Annotated[int, typer.Option(min=1, help="Drawn photos a day.")] = 48,
) -> None:
    """Land photos, materialize the whole graph through Dagster, and show the result."""
    from shelf_assets.demo.run import run_demo

    run_demo(console.prepared_settings(), console.out, photos, days, photos_per_day)
