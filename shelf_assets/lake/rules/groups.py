"""Near-duplicate groups, a part of merge_objects: each accepted or duplicate row gets the group of the photos it looks like.

Which hashes are alike and how groups form belongs in `near_duplicates`.
"""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.near_duplicates import NearDuplicates, alike_hashes, grouped
from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE, NEAR_DUPLICATE, REJECTED, TableSpec


def mark_near_duplicates(
    rows: pl.DataFrame,
    originals: pl.DataFrame,
    retained: pl.DataFrame,
    known: KnownRows,
    spec: TableSpec,
    near: NearDuplicates,
) -> pl.DataFrame:
    """Give accepted `rows` their groups and duplicates the group of their original; mark near-duplicates if `near.skip`.

    `retained` are the existing versions of rows that were accepted before: they keep their status, and their group if any.
    """
    key = list(spec.key)
    before = retained.select(*key, pl.col("near_duplicate_group").alias("kept_group"), is_retained=pl.lit(True))
    accepted = rows.filter(status=ACCEPTED).join(before, on=key, how="left")
    accepted = accepted.with_columns(pl.col("is_retained").fill_null(False), near_duplicate_group=pl.col("kept_group"))
    is_open = pl.col("near_duplicate_group").is_null() & pl.col("perceptual_hash").is_not_null()
    by_looks = accepted.filter(is_open)
    elsewhere = _accepted_alike(by_looks, known, near).join(rows, on=key, how="anti")
    here = accepted.filter(~is_open & pl.col("perceptual_hash").is_not_null())
    compared = ["day", "key", "received_at", "perceptual_hash", "near_duplicate_group"]
    by_looks = grouped(by_looks, pl.concat([elsewhere.select(compared), here.select(compared)]), near)
    # Flat pictures have no hash, since they all look alike: each is its own group.
    by_themselves = accepted.filter(~is_open).with_columns(
        pl.coalesce("near_duplicate_group", "image_id").alias("near_duplicate_group"), is_near_duplicate=pl.lit(False)
    )
    found = pl.concat([by_looks, by_themselves]).select(
        *key,
        pl.col("near_duplicate_group").alias("group"),
        (pl.col("is_near_duplicate") & ~pl.col("is_retained") & pl.lit(near.skip)).alias("is_skipped"),
    )
    return _with_groups(rows, found, originals, key)


def _with_groups(rows: pl.DataFrame, found: pl.DataFrame, originals: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """`rows` with the groups `found` for accepted ones; all others are duplicates of these or of `originals`."""
    columns = ["sha256", "group", "is_skipped"]
    elsewhere = originals.with_columns(
        group=pl.coalesce("near_duplicate_group", "image_id"), is_skipped=pl.lit(False)
    ).select(columns)
    here = rows.join(found, on=key).select(columns)
    by_bytes = pl.concat([elsewhere, here]).unique("sha256", keep="last", maintain_order=True)
    is_photo = pl.col("status") != REJECTED
    marked = rows.join(by_bytes, on="sha256", how="left").with_columns(
        pl.when(is_photo).then(pl.col("group")).alias("near_duplicate_group"),
        (pl.col("is_skipped").fill_null(False) & is_photo).alias("is_skipped"),
    )
    skipped = pl.col("is_skipped")
    looks_like = pl.format("looks like {}", "group")
    return marked.with_columns(
        status=pl.when(skipped).then(pl.lit(DUPLICATE)).otherwise(pl.col("status")),
        reason=pl.when(skipped).then(pl.lit(NEAR_DUPLICATE)).otherwise(pl.col("reason")),
        reason_detail=pl.when(skipped).then(looks_like).otherwise(pl.col("reason_detail")),
        duplicate_of=pl.when(skipped).then(pl.col("group")).otherwise(pl.col("duplicate_of")),
    ).select(rows.columns)


def _accepted_alike(photos: pl.DataFrame, known: KnownRows, near: NearDuplicates) -> pl.DataFrame:
    """The accepted photos that look like one of `photos`, on days near enough."""
    if photos.is_empty():
        return photos
    span = pl.duration(days=near.days)
    [(first_day, last_day)] = photos.select(pl.col("day").min() - span, pl.col("day").max().alias("last") + span).rows()
    accepted = known.between(first_day, last_day).filter(
        (pl.col("status") == ACCEPTED) & pl.col("perceptual_hash").is_not_null()
    )
    # Two passes: 12 bytes of each photo, then all columns of the few that match. A month may hold a million photos.
    alike = alike_hashes(photos, accepted.select("day", "perceptual_hash").unique().collect(), near)
    return accepted.filter(pl.col("perceptual_hash").is_in(alike.implode())).collect()
