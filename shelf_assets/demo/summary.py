"""The summary of a demo: printed tables of what became of the photos, and a contact sheet of some of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Column, Table

from shelf_assets.demo.contact_sheet import SheetPhoto, contact_sheet
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, REJECTED
from shelf_assets.lake.object_store import ObjectGone
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.models.catalogue import ResolvedModels
from shelf_assets.registry import STAGE_NAMES

SHEET_SEED = 7
SHEET_PHOTOS = 42


def summarize(
    console: Console, lake: Lake, days: list[date], models: ResolvedModels, marts_path: Path, sheet_path: Path
) -> None:
    """Print the days' photos by status, top labels, speed by stage, models and paths; write the sheet to `sheet_path`."""
    photos = lake.table(RAW_IMAGES.name).scan(days[0], days[-1]).collect()
    predictions = lake.table("classifications").scan(days[0], days[-1]).collect()
    accepted = photos.filter(status=ACCEPTED)
    # An overwritten photo is another photo: predictions of the old bytes do not count.
    predictions = predictions.join(accepted, on=["day", "image_id", "sha256"], how="semi")
    newest = predictions.sort("inferred_at").unique(["day", "image_id"], keep="last")
    counts = dict(photos.group_by("status").len().iter_rows())
    rejected = photos.filter(status=REJECTED).group_by("reason").len().sort("len", descending=True)

    table = Table(title="Photos", show_header=False)
    table.add_row("in", f"{photos.height:,}")
    table.add_row("accepted", f"{counts.get(ACCEPTED, 0):,}")
    table.add_row("duplicates", f"{counts.get(DUPLICATE, 0):,}")
    table.add_row("rejected", f"{counts.get(REJECTED, 0):,}")
    for reason, number in rejected.iter_rows():
        table.add_row(f"  {reason}", f"{number:,}")
    console.print(table)

    labels = newest.group_by("label").agg(pl.len().alias("photos"), pl.col("confidence").mean())
    table = Table("top label", "photos", "mean confidence")
    for label, number, confidence in labels.sort("photos", "label", descending=[True, False]).head(8).iter_rows():
        table.add_row(label, f"{number:,}", f"{confidence:.0%}")
    console.print(table)

    table = Table("stage", "photos", "images/s", Column("model", overflow="fold"), "device")
    spent = lake.table("stage_runs").scan(days[0], days[-1]).collect()
    totals = spent.group_by("stage").agg(
        pl.col("images", "wall_seconds").sum(), pl.col("model_id").last(), pl.col("device").last()
    )
    for stage, images, seconds, model, device in totals.sort(pl.col("stage").cast(pl.Enum(STAGE_NAMES))).iter_rows():
        table.add_row(stage, f"{images:,}", f"{images / seconds:,.1f}" if seconds else "", model or "", device)
    console.print(table)

    _print_models(console, models)
    contact_sheet(_sheet_photos(lake, photos, newest), sheet_path, _title(days))
    console.print(f"tables         {lake.url}/tables/", soft_wrap=True)
    if marts_path.exists():  # absent where the extra `marts` is not installed
        console.print(f"marts          {marts_path}", soft_wrap=True)
    console.print(f"contact sheet  {sheet_path}", soft_wrap=True)


def _print_models(console: Console, models: ResolvedModels) -> None:
    console.print(f"models: {models.ran} ({models.classifier.model_id}, {models.embedder.model_id})")
    if models.warning:
        console.print(f"[yellow]{models.warning}[/yellow]")


def _title(days: list[date]) -> str:
    return f"shelf_assets · {days[0]} to {days[-1]}" if len(days) > 1 else f"shelf_assets · {days[0]}"


def _sheet_photos(lake: Lake, photos: pl.DataFrame, predictions: pl.DataFrame) -> list[SheetPhoto]:
    """A sample of the photos with every status and reason in it: accepted ones with labels, the others with their reason."""
    order = {REJECTED: 0, DUPLICATE: 1, ACCEPTED: 2}
    others = photos.filter(pl.col("status") != ACCEPTED).unique(["status", "reason"], maintain_order=True)
    accepted = photos.filter(status=ACCEPTED)
    accepted = accepted.sample(min(accepted.height, SHEET_PHOTOS - others.height), seed=SHEET_SEED, shuffle=True)
    chosen = pl.concat([accepted, others]).sort(
        pl.col("status").replace_strict(order, return_dtype=pl.Int8), descending=True
    )
    labels = {row["image_id"]: row for row in predictions.iter_rows(named=True)}
    return [_sheet_photo(lake, row, labels.get(row["image_id"])) for row in chosen.iter_rows(named=True)]


def _sheet_photo(lake: Lake, photo: dict, prediction: dict | None) -> SheetPhoto:
    lines: list[str] = []
    if prediction:
        pairs = zip(prediction["labels"], prediction["scores"], strict=True)
        lines = [f"{label} {score:.0%}" for label, score in list(pairs)[:3]]
    note = None if photo["status"] == ACCEPTED else f"{photo['status']}: {photo['reason'] or photo['duplicate_of'][:8]}"
    try:
        image = lake.objects.get(photo["key"])
    except ObjectGone:  # a row remains when its object is deleted
        image, note = b"", note or "no longer in the lake"
    return SheetPhoto(image=image, lines=lines, note=note)
