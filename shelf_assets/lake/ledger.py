"""Queries on raw_images and predictions: unread objects, missing predictions, bytes that are accepted twice.

Which rows a commit writes belongs in `rules`.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.schemas import ACCEPTED as ACCEPTED
from shelf_assets.lake.schemas import DUPLICATE as DUPLICATE
from shelf_assets.lake.schemas import NEAR_DUPLICATE as NEAR_DUPLICATE
from shelf_assets.lake.schemas import REJECTED as REJECTED

# Reasons that do not depend on the bytes: the object is read again if it is listed again.
TRANSIENT_REASONS = ("gone",)


def unread_objects(listed: pl.DataFrame, existing: pl.DataFrame) -> pl.DataFrame:
    """The listed objects (key, etag, …) without a row of raw_images that has this etag and no transient reason."""
    final = existing.filter(pl.col("reason").is_null() | ~pl.col("reason").is_in(TRANSIENT_REASONS))
    return listed.join(final, on=["key", "etag"], how="anti")


def missing_predictions(
    accepted: pl.DataFrame, existing: pl.DataFrame, model_digest: str, preprocess_digest: str
) -> pl.DataFrame:
    """The accepted photos (image_id, sha256) without a row for this model and this preprocessing."""
    done = existing.filter(model_digest=model_digest, preprocess_digest=preprocess_digest)
    return accepted.select("image_id", "sha256").join(done, on=["image_id", "sha256"], how="anti")


def accepted_twice(known: KnownRows, day: date) -> pl.Series:
    """The sha256 of the day's accepted photos that raw_images accepts more than once, on whatever days."""
    mine = known.of_days([day]).filter(pl.col("status") == ACCEPTED).select("sha256").unique().collect()["sha256"]
    found = known.accepted_with(mine).group_by("sha256").len()
    return found.filter(pl.col("len") > 1).collect()["sha256"]
