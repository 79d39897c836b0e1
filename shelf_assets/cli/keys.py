"""`shelf keys`: create, list and revoke API keys. Their rows and messages are in `key_rows`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from shelf_assets.cli import console

if TYPE_CHECKING:
    from shelf_assets.http.keys import Keys

Limit = Annotated[str | None, typer.Option(help="Like 60/minute or 60/minute;5000/day; default: the setting's.")]

app = typer.Typer(help="API keys of the upload API: create, list, revoke.", no_args_is_help=True)


@app.command()
@console.readable_errors()
def create(
    owner: Annotated[str, typer.Option(help="Owner of the photos sent with this key; an owner may have several keys.")],
    scope: Annotated[list[str], typer.Option(help="upload, read or erase; repeat the option for several.")],
    requests: Limit = None,
    bytes_: Annotated[str | None, typer.Option("--bytes", help="The same for bytes.")] = None,
    pixels: Annotated[str | None, typer.Option("--pixels", help="The same for pixels.")] = None,
) -> None:
    """Create a key. Its token is printed once, on stdout; how to use it is printed on stderr."""
    from shelf_assets.cli.key_rows import creation_message

    key, token = _open_keys().create(owner, scope, datetime.now(UTC), requests, bytes_, pixels)
    console.out.print(token, highlight=False, markup=False, soft_wrap=True)
    console.err.print(creation_message(key), highlight=False, markup=False, soft_wrap=True)


@app.command("list")
@console.readable_errors()
def list_keys() -> None:
    """List every key, revoked ones included. Secrets are not stored and cannot be shown."""
    from shelf_assets.cli.key_rows import COLUMNS, key_rows

    table = console.table(*COLUMNS)
    for row in key_rows(_open_keys().list()):
        table.add_row(*row)
    console.out.print(table if table.rows else "There is no key; next: shelf keys create --owner NAME --scope upload")


@app.command()
@console.readable_errors()
def revoke(key_id: Annotated[str, typer.Argument(help="The id, as in `shelf keys list`.")]) -> None:
    """Revoke a key for ever. Revoking it again changes nothing."""
    from shelf_assets.cli.key_rows import revocation_message

    key = _open_keys().revoke(key_id, datetime.now(UTC))
    console.out.print(revocation_message(key), highlight=False, markup=False, soft_wrap=True)


def _open_keys() -> Keys:
    """The keys in the lake of this command's settings."""
    from shelf_assets.http.keys import Keys
    from shelf_assets.lake.store_options import open_object_store

    return Keys(open_object_store(console.prepared_settings().lake))
