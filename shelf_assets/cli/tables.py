"""Verbs about the lake's tables: `maintain`."""

from __future__ import annotations

from typing import Annotated

import typer

from shelf_assets.cli import console


@console.readable_errors("tables")
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what is due; change nothing.")] = False,
) -> None:
    """Pack the tables' small files, delete files that no version needs, write checkpoints. Safe beside runs; changes no row."""
    from shelf_assets.build import open_lake
    from shelf_assets.lake.maintenance import Policy
    from shelf_assets.observe.maintenance import rows_done, rows_due

    settings = console.prepared_settings()
    lake, policy = open_lake(settings), Policy.of(settings.lake)
    due_or_done = ("to pack", "to delete", "MB to free") if dry_run else ("packed", "deleted", "MB freed")
    table = console.table("table", "rows", "files", "MB", "log", *due_or_done)
    notices: list[str] = []
    for row in rows_due(lake, policy) if dry_run else rows_done(lake, policy, notices.append):
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    console.out.print(f"lake {lake.url}")
    console.out.print(table)
    console.out.print(
        "log: commits since the last checkpoint; packed: days, each read back to the same rows; deleted: files"
    )
    for notice in notices:
        console.out.print(notice)
