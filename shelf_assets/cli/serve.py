"""`shelf serve`: the servers."""

from __future__ import annotations

from typing import Annotated

import typer

from shelf_assets.cli import console

app = typer.Typer(help="Servers: the upload API.", no_args_is_help=True)


@app.command()
@console.readable_errors("api")
def intake(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: a free one.")] = 8000,
) -> None:
    """Serve the upload API. SIGTERM or Ctrl-C stops it after the uploads in flight."""
    settings = console.prepared_settings()
    from shelf_assets.http.server import open_socket, serve
    from shelf_assets.intake.app import build_app

    api = build_app(settings)
    listening = open_socket(host, port)
    console.out.print(
        f"the upload API of {settings.lake.url} is on http://{host}:{listening.getsockname()[1]}, its OpenAPI at /docs; "
        "keys: shelf keys create; Ctrl-C stops it",
        highlight=False,
        soft_wrap=True,
    )
    serve(api, settings.http, listening)
