"""What all verbs share: the two consoles, tables, the command's settings, and errors as messages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from shelf_assets.extras import MissingExtra, require_extras
from shelf_assets.settings import Settings, SettingsError, load_settings

out = Console()
err = Console(stderr=True)

# Cells of these columns are folded in a narrow terminal; days, numbers and ids are never cut.
_FOLDED = ("cause", "value", "meaning", "file", "detail", "owner", "scopes", "limits")


def command_settings() -> Settings:
    """Settings of this command, read from the environment. Tests replace this function to pass settings as values."""
    return load_settings()


def prepared_settings() -> Settings:
    """`command_settings`, for verbs that work on a lake: warnings are logged to stderr, and the home folder exists."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = command_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    return settings


def table(*columns: str) -> Table:
    """An empty table that fits 80 columns."""
    made = (Column(name, overflow="fold", no_wrap=name not in _FOLDED) for name in columns)
    return Table(*made, box=box.SIMPLE_HEAD, padding=0)


@contextmanager
def readable_errors(*extras: str) -> Iterator[None]:
    """Print an error that the user can act on as one message and exit with code 2; any other keeps its traceback.

    Every verb is decorated with it, so that its imports are inside, too. A verb names the extras that it needs: one that is
    not installed is reported before anything is imported.
    """
    try:
        require_extras("this command", *extras)
        yield
    except _readable() as error:
        # Not wrapped: a command in the message stays on one line, to be copied.
        err.print("[red]shelf:[/red]", escape(str(error)), highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _readable() -> tuple[type[Exception], ...]:
    # Imported only when an error has occurred: together they cost more than `shelf config`.
    from shelf_assets.http.keys import UnknownKey
    from shelf_assets.lake.errors import StoreUnavailable
    from shelf_assets.models.errors import ModelError
    from shelf_assets.photos.decoder_pool import DecodersUnavailable
    from shelf_assets.photos.moderation import ModerationMissing

    # Dagster may not be installed; where it was not imported, no run has failed.
    runs = sys.modules.get("shelf_assets.defs.running")
    run_errors = () if runs is None else (runs.RunFailed,)
    upload_errors = (DecodersUnavailable, ModerationMissing, UnknownKey)
    return (
        SettingsError,
        MissingExtra,
        StoreUnavailable,
        ModelError,
        *run_errors,
        *upload_errors,
        ValueError,
        PermissionError,
    )
