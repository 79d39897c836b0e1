"""Verbs about days and their runs: `run`, `plan`, `status`, and `dev`, which serves Dagster's UI."""

from __future__ import annotations

from typing import Annotated

import typer

from shelf_assets.cli import console
from shelf_assets.cli.day_options import Day, From, To, parse_days


@console.readable_errors("graph", "models")
def run(
    day: Day = None,
    first: From = None,
    last: To = None,
    select: Annotated[
        str | None, typer.Option(help="Dagster asset selection, e.g. 'key:raw_images+' or 'group:vision'.")
    ] = None,
) -> None:
    """Materialize days through Dagster, on the instance that `make dev` serves. Finished work is not repeated."""
    settings = console.prepared_settings()
    days = parse_days(day, first, last)
    from shelf_assets.build import build_defs
    from shelf_assets.defs.instance import open_instance
    from shelf_assets.defs.running import run_days, select_assets
    from shelf_assets.observe.terminal import watching

    defs = build_defs(settings)
    with open_instance(settings) as instance, watching(console.out, settings.home):
        finished = run_days(defs, instance, days, select_assets(defs, select))
    for each in finished:
        last_day = f" to {each.days[-1]}" if len(each.days) > 1 else ""
        console.out.print(f"{each.days[0]}{last_day}: done, run {each.run_id}")


@console.readable_errors("tables", "models")
def plan(day: Day = None, first: From = None, last: To = None) -> None:
    """Print what a run would compute: photos by cause, minutes at the measured speed, euros. Changes nothing."""
    settings = console.prepared_settings()
    days = parse_days(day, first, last)
    from shelf_assets.build import build_models, open_lake
    from shelf_assets.pipeline.plan import plan_days
    from shelf_assets.pipeline.tensors import Tensors

    lake = open_lake(settings)
    models = build_models(settings, lake)
    stages = plan_days(Tensors(lake, settings.vision), models, settings.pipeline, days)
    table = console.table("day", "stage", "cause", "photos", "images/s", "minutes", "EUR")
    for each in stages:
        table.add_row(
            str(each.day),
            each.stage,
            each.cause,
            f"{each.images:,}",
            f"{each.images_per_second:,.1f}{' (assumed)' if each.assumed_speed else ''}",
            f"{each.seconds / 60:.1f}",
            f"{each.eur:.4f}",
        )
    minutes, eur = sum(each.seconds for each in stages) / 60, sum(each.eur for each in stages)
    console.out.print(table if stages else "Nothing to compute: every photo has every row.")
    console.out.print(
        f"{models.resolved.ran} models; together {minutes:.1f} minutes and {eur:.4f} EUR, start-up not counted"
    )


@console.readable_errors("tables")
def status(days: Annotated[int, typer.Option(min=1, help="Number of days, ending today.")] = 14) -> None:
    """Show the newest days: photos landed, photos by status, photos predicted, and objects not read yet."""
    from shelf_assets.build import open_lake
    from shelf_assets.observe.status import status_columns, status_rows

    lake = open_lake(console.prepared_settings())
    table = console.table(*status_columns())
    for row in status_rows(lake, days):
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    console.out.print(f"lake {lake.url}")
    console.out.print(table)


@console.readable_errors("graph")
def dev(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """Serve the Dagster UI and run the daemon with its schedules and sensors. Ctrl-C stops both."""
    from shelf_assets.defs.instance import serve_ui

    settings = console.prepared_settings()
    console.out.print(f"Dagster on http://127.0.0.1:{port}; lake {settings.lake.url}; Ctrl-C stops it")
    raise typer.Exit(serve_ui(settings, port))
