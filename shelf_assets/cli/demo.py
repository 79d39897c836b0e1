"""`shelf demo`. The demo itself is in `demo.run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shelf_assets.cli import console


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
    from shelf_assets.demo.run import run_demo

    run_demo(console.prepared_settings(), console.out, photos, days)
