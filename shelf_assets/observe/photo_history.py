"""Everything the lake knows about one photo, in the order in which it came to be known."""

from __future__ import annotations

import json

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import NEAR_DUPLICATE

Facts = dict[str, object]


def photo_history(lake: Lake, image_id: str) -> list[tuple[str, Facts]]:
    """(title, facts) of every row about the photo: as received, its copies, its predictions with model and input."""
    chapters: list[tuple[str, Facts]] = []
    objects = lake.table("raw_images").scan()
    received = objects.filter(pl.col("image_id") == image_id).sort("day").collect()
    for row in received.iter_rows(named=True):
        chapters.append((f"received {row['received_at']:%Y-%m-%d %H:%M:%S} UTC: {_verdict(row)}", _told(row)))
    copies = objects.filter(pl.col("duplicate_of") == image_id).select("day", "image_id", "key", "reason").collect()
    for copy in copies.iter_rows(named=True):
        what = "a photo that looks like it was" if copy["reason"] == NEAR_DUPLICATE else "also"
        chapters.append((f"{what} sent on {copy['day']}", _told(copy)))
    # A prediction has its photo's day. Without it the vectors of every day would be read for an id that tells no time.
    own = pl.col("day").is_in(received["day"].unique().to_list()) & (pl.col("image_id") == image_id)
    for name in ("classifications", "clip_embeddings"):
        rows = lake.table(name).scan().filter(own).sort("inferred_at").collect()
        for row in rows.iter_rows(named=True):
            chapters.append((f"{name} by {row['model_id']}", _told(row)))
    return chapters


def _verdict(row: Facts) -> str:
    if row["status"] == "rejected":
        return f"rejected as {row['reason']}"
    return f"duplicate of {row['duplicate_of']}" if row["status"] == "duplicate" else "accepted"


def _told(row: Facts) -> Facts:
    facts = {name: value for name, value in row.items() if value is not None}
    if "labels" in facts:
        pairs = zip(facts.pop("labels"), facts.pop("scores"), strict=True)  # type: ignore[call-overload]
        facts["top labels"] = ", ".join(f"{label} {score:.1%}" for label, score in pairs)
    if "embedding" in facts:
        vector = facts.pop("embedding")
        facts["embedding"] = f"{len(vector)} numbers, {json.dumps([round(x, 3) for x in vector[:4]])[:-1]}, …]"  # type: ignore[arg-type,index]
    return facts
