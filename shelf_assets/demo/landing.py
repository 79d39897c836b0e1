"""Lands the photos of a demo, dealt over its days: the shipped ones, or those of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from shelf_assets.demo.shipped_photos import shipped_photos_of
from shelf_assets.intake.photo_folder import PhotoFolder
from shelf_assets.intake.put_photos import land
from shelf_assets.lake.lake import Lake


def land_shipped(lake: Lake, days: list[date]) -> Iterator[str]:
    """Yield the key of each shipped photo. The same days give the same keys, so that a second run lands nothing new."""
    for position, day in enumerate(days):
        yield from land(lake.objects, day, shipped_photos_of(position, len(days)))


def land_folder(lake: Lake, days: list[date], folder: PhotoFolder) -> Iterator[str]:
    """Yield the key of each photo of the folder."""
    for position, day in enumerate(days):
        yield from land(lake.objects, day, folder.read(first=position, step=len(days)))
