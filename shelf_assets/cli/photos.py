"""Verbs about photos: `land` puts a folder of them into the lake, `show` prints the history of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shelf_assets.cli import console
from shelf_assets.cli.day_options import Day, parse_day
from shelf_assets.days import today_utc


@console.readable_errors("tables")
def land(
    folder: Annotated[Path, typer.Argument(help="Folder of photos, read recursively.")],
    day: Day = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Put the files as they are, metadata included; raw_images validates them.")
    ] = False,
) -> None:
    """Put a folder's photos under a day's prefix (default: today, UTC), re-encoded from their pixels; list refused files.

    Landing a folder again changes nothing.
    """
    from rich.progress import track

    from shelf_assets.build import open_lake
    from shelf_assets.intake.land_folder import landed_files
    from shelf_assets.intake.photo_folder import open_folder

    target = parse_day(day) if day else today_utc()
    settings = console.prepared_settings()
    lake = open_lake(settings)
    opened = open_folder(folder, settings.photos.max_bytes)
    console.err.print(opened.notice, end="\n" if opened.notice else "", markup=False)
    landed = landed_files(settings.photos, settings.vision.decode_slots, lake.objects, target, opened.read(), as_is)
    files = list(track(landed, "landing", total=len(opened.files), console=console.err, transient=True))
    refused = [(each.name, each.refusal) for each in files if each.refusal]
    if refused:
        table = console.table("file", "reason", "detail")
        for name, refusal in refused:
            table.add_row(escape(name), refusal.reason, escape(refusal.detail))
        console.out.print(table)
    message = f"; {len(refused):,} were refused" if refused else ""
    console.out.print(
        f"{len(files) - len(refused):,} photos are under {lake.url}/images/{target:%Y/%m/%d}/{message}; "
        f"next: shelf run --day {target}"
    )


@console.readable_errors("tables")
def show(image_id: Annotated[str, typer.Argument(help="image_id of a photo, as in any table.")]) -> None:
    """Print the history of one photo: its rows in every table, each with its reason."""
    from shelf_assets.build import open_lake
    from shelf_assets.observe.photo_history import photo_history

    events = photo_history(open_lake(console.prepared_settings()), image_id)
    if not events:
        raise typer.BadParameter(f"no table of the lake has a row of the image {image_id}")
    for title, values in events:
        console.out.rule(title, align="left")
        for name, value in values.items():
            console.out.print(f"  {name:18} {value}", highlight=False, markup=False, soft_wrap=True)
