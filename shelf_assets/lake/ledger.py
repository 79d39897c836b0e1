"""The rules of the per-image ledger: which rows a commit may write, given what the table already holds.

Pure functions from frames to a `Change`; no I/O, no clock. `delta` reads the table at one version, asks the rule of that
table, and commits the answer only if nobody else decided in between. Hence: every rule may run again at any time, and
running it on rows that are already there changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl

from shelf_assets.lake.schemas import Rule, TableSpec

ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"

# Reasons that say something of the moment, not of the bytes: such a row is judged again when its object is listed again.
TRANSIENT_REASONS = ("gone",)


@dataclass(frozen=True)
class Change:
    """What a commit writes: `rows` appended, or put in place of everything that rests in `replaced_days`."""

    rows: pl.DataFrame
    replaced_days: tuple[date, ...] = ()
    rows_new: int = 0


NOTHING: Change | None = None


def settle_objects(incoming: pl.DataFrame, table: pl.LazyFrame, spec: TableSpec) -> Change | None:
    """Take newly read objects of a day into raw_images.

    A row replaces the one with the same key (the object was overwritten, or was `gone` and came back); every other row
    stays, also when its object is no longer listed. Of the incoming rows that would be accepted, those whose sha256 is
    already accepted, on any day, become duplicates; among themselves the first received wins, then the smaller key. When
    an accepted photo loses its bytes, one of its duplicates, on whatever day, takes its place.
    """
    key = list(spec.key)
    resting = _of_days(table, incoming)
    incoming = _unsettled(incoming, resting)
    if incoming.is_empty():
        return NOTHING

    acceptable = incoming.filter(status=ACCEPTED)
    replaced = resting.filter(status=ACCEPTED).join(incoming, on=key, how="semi")
    same_bytes = replaced.join(acceptable, on=[*key, "sha256"], how="semi")
    lost = replaced.join(acceptable, on=[*key, "sha256"], how="anti")["sha256"]
    if not lost.is_empty():
        incoming = pl.concat([incoming, _orphans(table, lost).join(incoming, on=key, how="anti")])
        resting = _of_days(table, incoming)

    days = incoming["day"].unique().to_list()
    kept = resting.filter(pl.col("day").is_in(days)).join(incoming, on=key, how="anti")
    hashes = incoming.filter(status=ACCEPTED)["sha256"].unique()
    # Three columns of all days, not fifteen: this look is the one cost of a commit that grows with the days.
    wanted = ["sha256", "image_id", "key"]
    elsewhere = table.filter(
        (pl.col("status") == ACCEPTED) & pl.col("sha256").is_in(hashes.implode()) & ~pl.col("day").is_in(days)
    )
    here = pl.concat([kept.filter(status=ACCEPTED), same_bytes])
    originals = pl.concat([elsewhere.select(wanted).collect(), here.select(wanted)])
    settled = mark_duplicates(incoming, originals)
    return Change(pl.concat([kept, settled]), replaced_days=tuple(days), rows_new=settled.height)


def _of_days(table: pl.LazyFrame, rows: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("day").is_in(rows["day"].unique().implode())).collect()


def _orphans(table: pl.LazyFrame, hashes: pl.Series) -> pl.DataFrame:
    """The duplicates of photos whose bytes are lost, to be judged again."""
    orphaned = (pl.col("status") == DUPLICATE) & pl.col("sha256").is_in(hashes.implode())
    rows = table.filter(orphaned).collect()
    return rows.with_columns(status=pl.lit(ACCEPTED), duplicate_of=pl.lit(None, pl.String))


def _unsettled(incoming: pl.DataFrame, resting: pl.DataFrame) -> pl.DataFrame:
    """The incoming rows that do not rest already with the same bytes and judgement; a duplicate was once acceptable."""
    judged = resting.with_columns(status=pl.col("status").replace(DUPLICATE, ACCEPTED))
    identity = ["day", "key", "etag", "sha256", "status", "reason"]
    return incoming.join(judged, on=identity, how="anti", nulls_equal=True)


def mark_duplicates(rows: pl.DataFrame, originals: pl.DataFrame) -> pl.DataFrame:
    """Mark acceptable rows as duplicates whose sha256 is another object's in `originals` (sha256, image_id, key), or
    else that of an earlier one of `rows`."""
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


def insert_missing(incoming: pl.DataFrame, table: pl.LazyFrame, spec: TableSpec) -> Change | None:
    """Add the rows whose key is not there yet.

    Where the key is there with another fingerprint (the photo's bytes changed under its key) the stale row gives way.
    """
    days = incoming["day"].unique().to_list()
    resting = table.filter(pl.col("day").is_in(days))
    identity = [*spec.key, *([spec.fingerprint] if spec.fingerprint else [])]
    present = resting.select(list(dict.fromkeys(identity))).collect()
    new = incoming.join(present, on=identity, how="anti")
    if new.is_empty():
        return NOTHING
    stale = new.select(spec.key).join(present, on=list(spec.key), how="semi")
    if stale.is_empty():
        return Change(new, rows_new=new.height)
    kept = resting.collect().join(stale, on=list(spec.key), how="anti")
    return Change(pl.concat([kept, new]), replaced_days=tuple(days), rows_new=new.height)


def the_day_as_it_is(day: date, table: pl.LazyFrame) -> Change | None:
    """Every row of the day in place of itself: how upkeep packs a day's files."""
    rows = table.filter(pl.col("day") == day).collect()
    return Change(rows, replaced_days=(day,)) if rows.height else NOTHING


RULES: dict[Rule, Callable[[pl.DataFrame, pl.LazyFrame, TableSpec], Change | None]] = {
    Rule.SETTLE_OBJECTS: settle_objects,
    Rule.INSERT_MISSING: insert_missing,
}


def unread_objects(listed: pl.DataFrame, resting: pl.DataFrame) -> pl.DataFrame:
    """The listed objects (key, etag, …) that raw_images does not know with this etag, or knows for a passing reason only."""
    settled = resting.filter(pl.col("reason").is_null() | ~pl.col("reason").is_in(TRANSIENT_REASONS))
    return listed.join(settled, on=["key", "etag"], how="anti")


def missing_predictions(
    accepted: pl.DataFrame, resting: pl.DataFrame, model_digest: str, preprocess_digest: str
) -> pl.DataFrame:
    """The accepted photos (image_id, sha256) that have no row yet for this model and this preprocessing."""
    done = resting.filter(model_digest=model_digest, preprocess_digest=preprocess_digest)
    return accepted.select("image_id", "sha256").join(done, on=["image_id", "sha256"], how="anti")


def accepted_twice(table: pl.LazyFrame, day: date) -> pl.Series:
    """The sha256 of the day's accepted photos that raw_images accepts more than once, on whatever day."""
    accepted = table.filter(pl.col("status") == ACCEPTED).select("day", "sha256")
    # Asked by value: a join would hold the hashes of all days in memory.
    mine = accepted.filter(pl.col("day") == day).select("sha256").unique().collect()["sha256"]
    found = accepted.filter(pl.col("sha256").is_in(mine.implode())).group_by("sha256").len()
    return found.filter(pl.col("len") > 1).collect()["sha256"]
