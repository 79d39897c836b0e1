"""Duplicates by bytes, a part of merge_objects: acceptable rows whose sha256 another object already has."""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE


def mark_duplicates(rows: pl.DataFrame, originals: pl.DataFrame) -> pl.DataFrame:
    """Mark acceptable rows as duplicates if another object in `originals` (sha256, image_id, key) has their sha256, or
    else an earlier one of `rows`."""
    known = originals.unique("sha256", keep="first").rename({"image_id": "original", "key": "original_key"})
    first_here = (
        rows.filter(status=ACCEPTED)
        .sort("received_at", "key")
        .unique("sha256", keep="first", maintain_order=True)
        .select("sha256", pl.col("image_id").alias("first_here"), pl.col("key").alias("first_key"))
    )
    is_copy = (pl.col("status") == ACCEPTED) & (pl.col("key") != pl.coalesce("original_key", "first_key"))
    return (
        rows.join(known, on="sha256", how="left")
        .join(first_here, on="sha256", how="left")
        .with_columns(
            duplicate_of=pl.when(is_copy).then(pl.coalesce("original", "first_here")).otherwise(pl.col("duplicate_of")),
            status=pl.when(is_copy).then(pl.lit(DUPLICATE)).otherwise(pl.col("status")),
        )
        .select(rows.columns)
    )
