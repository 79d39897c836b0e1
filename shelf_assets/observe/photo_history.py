"""The history of one photo: the events that the lake's tables hold about it."""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, NEAR_DUPLICATE, REJECTED
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.registry import prediction_stages


def photo_history(lake: Lake, image_id: str) -> list[tuple[str, dict[str, object]]]:
    """(title, values by column) of each event, in this order: received, sent again, predicted. Empty for an unknown image."""
    events: list[tuple[str, dict[str, object]]] = []
    objects = lake.table(RAW_IMAGES.name).scan()
    received = objects.filter(pl.col("image_id") == image_id).sort("day").collect()
    for row in received.iter_rows(named=True):
        events.append((f"received {row['received_at']:%Y-%m-%d %H:%M:%S} UTC: {_outcome(row)}", _values(row)))
    copies = objects.filter(pl.col("duplicate_of") == image_id).select("day", "image_id", "key", "reason").collect()
    for copy in copies.iter_rows(named=True):
        what = "a near duplicate was" if copy["reason"] == NEAR_DUPLICATE else "also"
        events.append((f"{what} sent on {copy['day']}", _values(copy)))
    # A prediction has the day of its photo. Without this filter, the vectors of every day would be read.
    own = pl.col("day").is_in(received["day"].unique().to_list()) & (pl.col("image_id") == image_id)
    for stage in prediction_stages():
        rows = lake.table(stage.name).scan().filter(own).sort("inferred_at").collect()
        for row in rows.iter_rows(named=True):
            events.append((f"{stage.name} by {row['model_id']}", _values(stage.facts_of(row))))
    return events


def _outcome(row: dict[str, object]) -> str:
    if row["status"] == REJECTED:
        return f"rejected as {row['reason']}"
    return f"duplicate of {row['duplicate_of']}" if row["status"] == DUPLICATE else ACCEPTED


def _values(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if value is not None}
