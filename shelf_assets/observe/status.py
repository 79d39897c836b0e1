"""The state of each of the newest days: counts from the tables and from the listing of the landed objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl

from shelf_assets.days import FIRST_DAY, days_between, today_utc
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, REJECTED, unread_objects
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.registry import prediction_stages

Row = tuple[object, ...]


def status_columns() -> list[str]:
    """Headings of the cells of `status_rows`."""
    predicted = [stage.status_column for stage in prediction_stages()]
    return ["day", "landed", ACCEPTED, DUPLICATE, REJECTED, *predicted, "unread"]


def status_rows(lake: Lake, days: int) -> Iterator[Row]:
    """One row per day, newest first; days without photos are left out.

    Counted are landed objects, rows of raw_images by status, accepted photos with a prediction of whatever model for each
    stage, and landed objects that are not read yet.
    """
    first = max(FIRST_DAY, today_utc() - timedelta(days=days - 1))
    for day in reversed(days_between(first, today_utc())):
        listed = lake.listing(day)
        rows = lake.table(RAW_IMAGES.name).scan(day, day).collect()
        if listed.is_empty() and rows.is_empty():
            continue
        counts = dict(rows.group_by("status").len().iter_rows())
        accepted = rows.filter(status=ACCEPTED).select("image_id", "sha256")
        predicted = [
            accepted.join(_photos_of(lake, stage.name, day), on=["image_id", "sha256"], how="semi").height
            for stage in prediction_stages()
        ]
        statuses = [counts.get(status, 0) for status in (ACCEPTED, DUPLICATE, REJECTED)]
        yield (day, listed.height, *statuses, *predicted, unread_objects(listed, rows).height)


def _photos_of(lake: Lake, stage: str, day: date) -> pl.DataFrame:
    return lake.table(stage).scan(day, day).select("image_id", "sha256").collect()
