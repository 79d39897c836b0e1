"""`shelf config`: prints the settings. The settings themselves are in `shelf_assets.settings`."""

from __future__ import annotations

from shelf_assets.cli import console
from shelf_assets.settings import leaves


@console.readable_errors()
def config() -> None:
    """Print every setting with its value and meaning, secrets masked."""
    settings = console.command_settings()
    table = console.table("setting", "value", "meaning")
    for leaf, value in zip(leaves(), settings.masked().values(), strict=True):
        table.add_row(leaf.variable, value, leaf.field.description or "")
    console.out.print(table)
