"""The `shelf` command: verbs for people. Each parses, calls a plain function and prints; the work is elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from shelf_assets.settings import Settings, SettingsError, leaves, load_settings

app = typer.Typer(
    help="Shoppers' photos of household products, turned every day into Delta tables and BI marts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
keys = typer.Typer(help="API keys of the HTTP door: create, list, revoke.", no_args_is_help=True)
app.add_typer(keys, name="keys")
servers = typer.Typer(help="Servers: the HTTP door.", no_args_is_help=True)
app.add_typer(servers, name="serve")
console = Console()
errors = Console(stderr=True)

Day = Annotated[str | None, typer.Option(help="One UTC day, YYYY-MM-DD.")]
From = Annotated[str | None, typer.Option("--from", help="First UTC day of a range.")]
To = Annotated[str | None, typer.Option("--to", help="Last UTC day of a range (included).")]
Limit = Annotated[str | None, typer.Option(help="Like 60/minute or 60/minute;5000/day; default: the setting's.")]


@app.command()
def demo(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of your own photos; without it, the drawn photos of the package.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=60, help="How many days, ending yesterday; the photos are dealt over them.")
    ] = 3,
) -> None:
    """Land photos, materialize the whole graph through Dagster, and show the result."""
    from shelf_assets.demo.run import run_demo

    with _readable_errors():
        run_demo(_ready_settings(), console, photos, days)


@app.command()
def land(
    folder: Annotated[Path, typer.Argument(help="Folder of photos, read recursively.")],
    day: Day = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Put the files as they are, metadata and all; the graph judges them.")
    ] = False,
) -> None:
    """Put a folder's photos under a day's prefix (today's, UTC), rebuilt from their pixels; say which are refused, and why.

    Landing a folder again changes nothing.
    """
    from rich.progress import track

    from shelf_assets.build import open_lake
    from shelf_assets.days import require_known_day, today_utc
    from shelf_assets.intake.land_folder import landed_files
    from shelf_assets.intake.photo_folder import open_folder

    with _readable_errors():
        target = require_known_day(_parse_day(day)) if day else today_utc()
        settings = _ready_settings()
        lake = open_lake(settings)
        opened = open_folder(folder, settings.photos.max_bytes)
        errors.print(opened.notice, end="\n" if opened.notice else "", markup=False)
        landed = landed_files(settings.photos, settings.vision.decode_slots, lake.objects, target, opened.read(), as_is)
        files = list(track(landed, "landing", total=len(opened.files), console=errors, transient=True))
        refused = [(each.name, each.refusal) for each in files if each.refusal]
        if refused:
            table = _table("file", "reason", "detail")
            for name, why in refused:
                table.add_row(escape(name), why.reason, escape(why.detail))
            console.print(table)
        told = f"; {len(refused):,} were refused" if refused else ""
        console.print(
            f"{len(files) - len(refused):,} photos are under {lake.url}/images/{target:%Y/%m/%d}/{told}; "
            f"next: shelf run --day {target}"
        )


@app.command()
def run(
    day: Day = None,
    first: From = None,
    last: To = None,
    select: Annotated[
        str | None, typer.Option(help="Dagster asset selection, e.g. 'key:raw_images+' or 'group:vision'.")
    ] = None,
) -> None:
    """Materialize days through Dagster, on the instance that `make dev` opens. Finished work is not done again."""
    with _readable_errors():
        settings = _ready_settings()
        days = _days(day, first, last)
        from shelf_assets.defs.instance import ensure_instance
        from shelf_assets.observe.terminal import watching

        ensure_instance(settings)
        import dagster as dg

        from shelf_assets.definitions import build_defs
        from shelf_assets.defs.running import run_days, select_assets

        defs = build_defs(settings)
        with dg.DagsterInstance.get() as instance, watching(console, settings.home):
            finished = run_days(defs, instance, days, select_assets(defs, select))
        for each in finished:
            console.print(
                f"{each.days[0]}{f' to {each.days[-1]}' if len(each.days) > 1 else ''}: done, run {each.run_id}"
            )


@app.command()
def plan(day: Day = None, first: From = None, last: To = None) -> None:
    """Say what a run would compute: photos by cause, minutes from measured speed, euros. Changes nothing."""
    from shelf_assets.build import build_models, open_lake
    from shelf_assets.pipeline.plan import plan_days
    from shelf_assets.pipeline.tensors import Tensors

    with _readable_errors():
        settings = _ready_settings()
        lake = open_lake(settings)
        models = build_models(settings, lake)
        stages = plan_days(Tensors(lake, settings.vision), models, settings.pipeline, _days(day, first, last))
        table = _table("day", "stage", "cause", "photos", "images/s", "minutes", "EUR")
        for each in stages:
            speed = f"{each.images_per_second:,.1f}{' (assumed)' if each.assumed_speed else ''}"
            row = (
                str(each.day),
                each.stage,
                each.cause,
                f"{each.images:,}",
                speed,
                f"{each.seconds / 60:.1f}",
                f"{each.eur:.4f}",
            )
            table.add_row(*row)
        minutes, eur = sum(each.seconds for each in stages) / 60, sum(each.eur for each in stages)
        console.print(table if stages else "Nothing to compute: every photo has every row.")
        console.print(
            f"{models.resolved.ran} models; together {minutes:.1f} minutes and {eur:.4f} EUR, start-up not counted"
        )


@app.command()
def calibrate(
    day: Annotated[str, typer.Option(help="UTC day whose photos are typical, YYYY-MM-DD.")],
    photos: Annotated[int, typer.Option(min=48, help="Photos to calibrate on; a third more are the proof.")] = 192,
    labelled: Annotated[
        Path | None, typer.Option(help="Folder of photos in folders named by their class, for accuracy.")
    ] = None,
) -> None:
    """Make int8 versions of the models from a day's photos, for SHELF_MODELS_PRECISION=int8; kept only if true enough."""
    from shelf_assets.build import build_ingest, build_models, open_lake
    from shelf_assets.pipeline.calibrate import calibrate_day

    with _readable_errors():
        settings = _ready_settings()
        lake = open_lake(settings)
        ingest, models = build_ingest(settings, lake), build_models(settings, lake)
        done = calibrate_day(ingest, models, _days(day, None, None)[0], photos, labelled, errors.print)
        table = _table("model", "proof", "cosine", "same top-1", "labelled", "fp32", "int8")
        for each in done:
            parity = each.parity
            same = "" if parity.top1_agreement is None else f"{parity.top1_agreement:.1%}"
            accuracies = ("", "", "")
            if each.accuracy_percent is not None and parity.accuracy_change_points is not None:
                int8_percent = each.accuracy_percent + parity.accuracy_change_points
                accuracies = (str(parity.labelled_photos), f"{each.accuracy_percent:.1f}%", f"{int8_percent:.1f}%")
            table.add_row(each.spec.model_id, str(parity.photos), f"{parity.cosine_mean:.4f}", same, *accuracies)
        console.print(table)
        console.print(
            "in force for SHELF_MODELS_PRECISION=int8 with SHELF_MODELS_BACKEND=openvino; each has a digest of its own"
        )


@app.command()
def status(days: Annotated[int, typer.Option(min=1, help="How many days back to look.")] = 14) -> None:
    """Show the newest days: what landed, what became of it, and what is still to be done."""
    from shelf_assets.build import open_lake
    from shelf_assets.observe.status import status_rows

    with _readable_errors():
        settings = _ready_settings()
        lake = open_lake(settings)
        table = _table("day", "landed", "accepted", "duplicate", "rejected", "classified", "embedded", "unread")
        for row in status_rows(lake, days):
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        console.print(f"lake {lake.url}")
        console.print(table)


@app.command()
def upkeep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is due; change nothing.")] = False,
) -> None:
    """Pack the tables' small files, delete what no version needs, sum up their logs. Safe beside runs; changes no row."""
    from shelf_assets.build import open_lake
    from shelf_assets.lake.maintenance import Policy
    from shelf_assets.observe.maintenance import rows_done, rows_due

    with _readable_errors():
        settings = _ready_settings()
        lake, policy = open_lake(settings), Policy.of(settings.lake)
        heads = ("to pack", "to delete", "MB to free") if dry_run else ("packed", "deleted", "MB freed")
        table = _table("table", "rows", "files", "MB", "log", *heads)
        notices: list[str] = []
        for row in rows_due(lake, policy) if dry_run else rows_done(lake, policy, notices.append):
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
        console.print(f"lake {lake.url}")
        console.print(table)
        console.print(
            "log: commits since the last checkpoint; packed: days, each read back to the same rows; deleted: files"
        )
        for notice in notices:
            console.print(notice)


@app.command()
def dev(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """The Dagster UI with the daemon, so that schedules and sensors run. Ctrl-C stops both."""
    from shelf_assets.defs.instance import serve_ui

    with _readable_errors():
        settings = _ready_settings()
        console.print(f"Dagster on http://127.0.0.1:{port}; lake {settings.lake.url}; Ctrl-C stops it")
        raise typer.Exit(serve_ui(settings, port))


@app.command()
def config() -> None:
    """Print every setting with its value and meaning, secrets masked."""
    with _readable_errors():
        settings = load_settings()
        table = _table("setting", "value", "meaning")
        for leaf, value in zip(leaves(), settings.masked().values(), strict=True):
            table.add_row(leaf.variable, value, leaf.field.description or "")
        console.print(table)


@app.command()
def show(image_id: Annotated[str, typer.Argument(help="image_id of a photo, as in any table.")]) -> None:
    """Everything known about one photo, from every table, with the reason for each."""
    from shelf_assets.build import open_lake
    from shelf_assets.observe.photo_history import photo_history

    with _readable_errors():
        lines = photo_history(open_lake(_ready_settings()), image_id)
        if not lines:
            raise typer.BadParameter(f"no table of the lake knows the image {image_id}")
        for title, facts in lines:
            console.rule(title, align="left")
            for name, value in facts.items():
                console.print(f"  {name:18} {value}", highlight=False, markup=False, soft_wrap=True)


@keys.command("create")
def create_key(
    owner: Annotated[str, typer.Option(help="Whose photos this key's are; an owner may have several keys.")],
    scope: Annotated[list[str], typer.Option(help="upload, read or erase; several by repeating it.")],
    requests: Limit = None,
    bytes_: Annotated[str | None, typer.Option("--bytes", help="The same for bytes.")] = None,
    pixels: Annotated[str | None, typer.Option(help="The same for pixels.")] = None,
) -> None:
    """Make a key; its token goes to the output, now and never again, and what is to be known beside it to stderr."""
    from shelf_assets.cli.key_rows import keys_of, on_creation

    with _readable_errors():
        key, token = keys_of(_ready_settings()).create(owner, scope, datetime.now(UTC), requests, bytes_, pixels)
        console.print(token, highlight=False, markup=False, soft_wrap=True)
        errors.print(on_creation(key), highlight=False, markup=False, soft_wrap=True)


@keys.command("list")
def list_keys() -> None:
    """Show every key, those that are revoked too; their secrets nobody can show."""
    from shelf_assets.cli.key_rows import COLUMNS, keys_of, rows

    with _readable_errors():
        table = _table(*COLUMNS)
        for row in rows(keys_of(_ready_settings()).list()):
            table.add_row(*row)
        console.print(table if table.rows else "There is no key; next: shelf keys create --owner NAME --scope upload")


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The id, as in `shelf keys list`.")]) -> None:
    """Close a key for ever. Revoking it again changes nothing."""
    from shelf_assets.cli.key_rows import keys_of, on_revocation

    with _readable_errors():
        key = keys_of(_ready_settings()).revoke(key_id, datetime.now(UTC))
        console.print(on_revocation(key), highlight=False, markup=False, soft_wrap=True)


@servers.command("intake")
def serve_intake(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: a free one.")] = 8000,
) -> None:
    """The HTTP door: takes shoppers' photos. SIGTERM or Ctrl-C lets uploads finish, then stops it."""
    with _readable_errors():
        settings = _ready_settings()
        try:
            from shelf_assets.http.server import open_socket, serve
            from shelf_assets.intake.app import build_app
        except ModuleNotFoundError as missing:
            raise SettingsError(f"{missing.name} is not installed: install the extra `door`") from None
        api = build_app(settings)
        listening = open_socket(host, port)
        console.print(
            f"the upload API of {settings.lake.url} is on http://{host}:{listening.getsockname()[1]}, its OpenAPI at /docs; "
            "keys: shelf keys create; Ctrl-C stops it",
            highlight=False,
            soft_wrap=True,
        )
        serve(api, settings.http, listening)


def main() -> None:
    app()


def _table(*columns: str) -> Table:
    """A table that fits 80 columns: prose is folded, and no day or number is cut."""
    prose = ("cause", "value", "meaning", "file", "detail", "owner", "scopes", "limits")
    made = (Column(name, overflow="fold", no_wrap=name not in prose) for name in columns)
    return Table(*made, box=box.SIMPLE_HEAD, padding=0)


def _ready_settings() -> Settings:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    return settings


def _days(day: str | None, first: str | None, last: str | None) -> list[date]:
    from shelf_assets.days import days_between, require_known_day

    if day and (first or last):
        raise ValueError("give --day, or --from and --to, not both")
    if day:
        return [require_known_day(_parse_day(day))]
    if not (first and last):
        raise ValueError("which days? give --day YYYY-MM-DD, or --from and --to")
    return [require_known_day(each) for each in days_between(_parse_day(first), _parse_day(last))]


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day; write it as YYYY-MM-DD") from None


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Errors that people can act on are one message and exit code 2; any other keeps its traceback."""
    try:
        yield
    except _readable() as error:
        errors.print("[red]shelf:[/red]", escape(str(error)), highlight=False)
        raise typer.Exit(2) from None


def _readable() -> tuple[type[Exception], ...]:
    # Asked for only once an error is there: Dagster alone is half of what `shelf config` would cost.
    from shelf_assets.defs.running import RunFailed
    from shelf_assets.http.keys import UnknownKey
    from shelf_assets.lake.errors import StoreUnavailable
    from shelf_assets.models.errors import ModelError
    from shelf_assets.photos.decoder_pool import DecodersUnavailable
    from shelf_assets.photos.moderation import ModerationMissing

    of_the_door = (DecodersUnavailable, ModerationMissing, UnknownKey)
    return SettingsError, StoreUnavailable, ModelError, RunFailed, *of_the_door, ValueError, PermissionError


if __name__ == "__main__":
    main()
