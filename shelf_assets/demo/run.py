"""The demo from end to end: photos in, the graph through Dagster, a summary and a contact sheet out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Column, Table

from shelf_assets.build import build_defs, build_models, open_lake
from shelf_assets.days import days_between, today_utc
from shelf_assets.defs.instance import open_instance
from shelf_assets.defs.running import run_days, select_assets
from shelf_assets.demo.contact_sheet import SheetPhoto, contact_sheet
from shelf_assets.demo.shipped_photos import shipped_photos_of
from shelf_assets.intake.photo_folder import PhotoFolder, open_folder
from shelf_assets.intake.put_photos import land
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import ObjectGone
from shelf_assets.observe.terminal import watching
from shelf_assets.settings import Settings

SHEET_SEED = 7
SHEET_PHOTOS = 42
STAGES = ["raw_images", "image_tensors", "classifications", "clip_embeddings"]


def run_demo(settings: Settings, console: Console, folder: Path | None, days: int) -> None:
    started = time.perf_counter()
    lake = open_lake(settings)
    last = today_utc() - timedelta(days=1)
    span = days_between(last - timedelta(days=days - 1), last)
    if folder:
        opened = open_folder(folder, settings.photos.max_bytes)
        console.print(opened.notice, end="\n" if opened.notice else "", markup=False)
        landed = land_folder(lake, span, opened)
    else:
        landed = land_shipped(lake, span)
    with console.status("landing photos"):
        count = sum(1 for _ in landed)
    console.print(f"{count:,} photos landed for {span[0]} to {span[-1]} in {lake.url}")

    defs = build_defs(settings)
    with open_instance(settings) as instance, watching(console, settings.home):
        run_days(defs, instance, span, select_assets(defs, None))
    summarize(settings, lake, console, span)
    console.print(f"{time.perf_counter() - started:.0f} s altogether; look at it with: make dev")


def land_shipped(lake: Lake, days: list[date]) -> Iterator[str]:
    """Deal the shipped photos out over the days; the same days give the same keys, so a second run lands nothing new."""
    for position, day in enumerate(days):
        yield from land(lake.objects, day, shipped_photos_of(position, len(days)))


def land_folder(lake: Lake, days: list[date], folder: PhotoFolder) -> Iterator[str]:
    """Deal a folder's photos out over the days, in turn."""
    for position, day in enumerate(days):
        yield from land(lake.objects, day, folder.read(first=position, step=len(days)))


def summarize(settings: Settings, lake: Lake, console: Console, days: list[date]) -> None:
    """Print what became of the days' photos, how fast, by which models, and where everything is."""
    photos = lake.table("raw_images").scan(days[0], days[-1]).collect()
    predictions = lake.table("classifications").scan(days[0], days[-1]).collect()
    accepted = photos.filter(status="accepted")
    # An overwritten photo is another photo: what was said of the old bytes does not count.
    predictions = predictions.join(accepted, on=["day", "image_id", "sha256"], how="semi")
    newest = predictions.sort("inferred_at").unique(["day", "image_id"], keep="last")
    counts = dict(photos.group_by("status").len().iter_rows())
    rejected = photos.filter(status="rejected").group_by("reason").len().sort("len", descending=True)

    table = Table(title="Photos", show_header=False)
    table.add_row("in", f"{photos.height:,}")
    table.add_row("accepted", f"{counts.get('accepted', 0):,}")
    table.add_row("duplicates", f"{counts.get('duplicate', 0):,}")
    table.add_row("rejected", f"{counts.get('rejected', 0):,}")
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
    for stage, images, seconds, model, device in totals.sort(pl.col("stage").cast(pl.Enum(STAGES))).iter_rows():
        table.add_row(stage, f"{images:,}", f"{images / seconds:,.1f}" if seconds else "", model or "", device)
    console.print(table)

    _say_which_models(settings, lake, console)
    sheet = contact_sheet(_sheet_photos(lake, photos, newest), settings.home / "contact-sheet.png", _title(days))
    console.print(f"tables         {lake.url}/tables/", soft_wrap=True)
    if settings.bi.marts_path.exists():  # absent where the extra `marts` is not installed
        console.print(f"marts          {settings.bi.marts_path}", soft_wrap=True)
    console.print(f"contact sheet  {sheet}", soft_wrap=True)


def _say_which_models(settings: Settings, lake: Lake, console: Console) -> None:
    resolved = build_models(settings, lake).resolved
    console.print(f"models: {resolved.ran} ({resolved.classifier.model_id}, {resolved.embedder.model_id})")
    if resolved.warning:
        console.print(f"[yellow]{resolved.warning}[/yellow]")


def _title(days: list[date]) -> str:
    return f"shelf_assets · {days[0]} to {days[-1]}" if len(days) > 1 else f"shelf_assets · {days[0]}"


def _sheet_photos(lake: Lake, photos: pl.DataFrame, predictions: pl.DataFrame) -> list[SheetPhoto]:
    """A sample of the photos that shows every status: accepted ones with their labels, the others with their reason."""
    order = {"rejected": 0, "duplicate": 1, "accepted": 2}
    others = photos.filter(pl.col("status") != "accepted").unique(["status", "reason"], maintain_order=True)
    accepted = photos.filter(status="accepted")
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
    note = (
        None if photo["status"] == "accepted" else f"{photo['status']}: {photo['reason'] or photo['duplicate_of'][:8]}"
    )
    try:
        image = lake.objects.get(photo["key"])
    except ObjectGone:  # rows outlive objects
        image, note = b"", note or "no longer in the lake"
    return SheetPhoto(image=image, lines=lines, note=note)
