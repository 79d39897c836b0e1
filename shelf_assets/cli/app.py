"""The `shelf` command, assembled from the modules of its verbs. It imports no library that a verb alone needs."""

from __future__ import annotations

import typer

from shelf_assets.cli import demo, keys, models, photos, runs, serve, settings, tables

VERBS = (
    demo.demo,
    photos.land,
    runs.run,
    runs.plan,
    models.calibrate,
    runs.status,
    tables.maintain,
    runs.dev,
    settings.config,
    photos.show,
)

app = typer.Typer(
    help="Shoppers' photos of household products, turned every day into Delta tables and BI marts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(keys.app, name="keys")
app.add_typer(serve.app, name="serve")

if __name__ == "__main__":
    app()
