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

from shelf_assets.lake.near_duplicates import BY_DEFAULT, NearDuplicates, alike_hashes, grouped
from shelf_assets.lake.schemas import Rule, TableSpec

ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"

# Reasons that say something of the moment, not of the bytes: such a row is judged again when its object is listed again.
TRANSIENT_REASONS = ("gone",)
# The reason of a duplicate whose bytes are its own.
NEAR_DUPLICATE = "near_duplicate"


@dataclass(frozen=True)
class Change:
    """What a commit writes: `rows` appended, or put in place of everything that rests in `replaced_days`."""

    rows: pl.DataFrame
    replaced_days: tuple[date, ...] = ()
    rows_new: int = 0


NOTHING: Change | None = None


def merge_objects(
    incoming: pl.DataFrame, table: pl.LazyFrame, spec: TableSpec, near: NearDuplicates = BY_DEFAULT
) -> Change | None:
    """Take newly read objects of a day into raw_images.

    A row replaces the one with the same key (the object was overwritten, or was `gone` and came back); every other row
    stays, also when its object is no longer listed. Of the incoming rows that would be accepted, those whose sha256 is
    already accepted, on any day, become duplicates; among themselves the first received wins, then the smaller key. Those
    that are left get a group by their looks (`near_duplicates`), before or after them in time; where near-duplicates are
    skipped they become duplicates as well.

    What rests keeps its status and its group, whatever arrives, in whatever order. One thing takes them away: when an
    accepted photo loses its bytes, the duplicates of these bytes, and where its group is named after it all of the group,
    on whatever day, are judged again; photos that were accepted stay so.
    """
    key = list(spec.key)
    resting = _of_days(table, incoming)
    incoming = _unsettled(incoming, resting)
    if incoming.is_empty():
        return NOTHING

    acceptable = incoming.filter(status=ACCEPTED)
    replaced = resting.filter(status=ACCEPTED).join(incoming, on=key, how="semi")
    standing = replaced.join(acceptable, on=[*key, "sha256"], how="semi")
    # One from before there were groups is in its own, as marts and its duplicates have it.
    standing = standing.with_columns(near_duplicate_group=pl.coalesce("near_duplicate_group", "image_id"))
    lost = replaced.join(acceptable, on=[*key, "sha256"], how="anti")
    if not lost.is_empty():
        bereft = _bereft(table, lost).join(incoming, on=key, how="anti")
        standing = _without_groups(pl.concat([standing, bereft.filter(status=ACCEPTED)]), _named_groups(lost))
        incoming = pl.concat([incoming, _unjudged(bereft)])
        resting = _of_days(table, incoming)

    days = incoming["day"].unique().to_list()
    kept = resting.filter(pl.col("day").is_in(days)).join(incoming, on=key, how="anti")
    hashes = incoming.filter(status=ACCEPTED)["sha256"].unique()
    # Four columns of all days, not eighteen: this look is the one cost of a commit that grows with the days.
    wanted = ["sha256", "image_id", "key", "near_duplicate_group"]
    elsewhere = table.filter(
        (pl.col("status") == ACCEPTED) & pl.col("sha256").is_in(hashes.implode()) & ~pl.col("day").is_in(days)
    )
    here = pl.concat([kept.filter(status=ACCEPTED), standing])
    originals = pl.concat([elsewhere.select(wanted).collect(), here.select(wanted)])
    settled = mark_near_duplicates(mark_duplicates(incoming, originals), originals, standing, table, spec, near)
    return Change(pl.concat([kept, settled]), replaced_days=tuple(days), rows_new=settled.height)


def _of_days(table: pl.LazyFrame, rows: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("day").is_in(rows["day"].unique().implode())).collect()


def _bereft(table: pl.LazyFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """The rows that rest on photos whose bytes are lost: duplicates of the bytes, members of groups named after them."""
    copies = (pl.col("status") == DUPLICATE) & pl.col("sha256").is_in(lost["sha256"].implode())
    members = pl.col("near_duplicate_group").is_in(_named_groups(lost).implode())
    return table.filter(copies | members).collect()


def _named_groups(lost: pl.DataFrame) -> pl.Series:
    return lost.filter(pl.col("image_id") == pl.col("near_duplicate_group"))["image_id"]


def _without_groups(rows: pl.DataFrame, groups: pl.Series) -> pl.DataFrame:
    group = pl.col("near_duplicate_group")
    return rows.with_columns(pl.when(~group.is_in(groups.implode())).then(group).alias("near_duplicate_group"))


def _unjudged(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as they came in: acceptable, and nothing said of other photos."""
    nothing = pl.lit(None, pl.String)
    return rows.with_columns(
        status=pl.lit(ACCEPTED),
        reason=nothing,
        reason_detail=nothing,
        duplicate_of=nothing,
        near_duplicate_group=nothing,
    )


def _unsettled(incoming: pl.DataFrame, resting: pl.DataFrame) -> pl.DataFrame:
    """The incoming rows that do not rest already with the same bytes and judgement; a duplicate was once acceptable."""
    is_duplicate = pl.col("status") == DUPLICATE
    judged = resting.with_columns(
        status=pl.when(is_duplicate).then(pl.lit(ACCEPTED)).otherwise(pl.col("status")),
        reason=pl.when(~is_duplicate).then(pl.col("reason")),
    )
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


def mark_near_duplicates(
    rows: pl.DataFrame,
    originals: pl.DataFrame,
    standing: pl.DataFrame,
    table: pl.LazyFrame,
    spec: TableSpec,
    near: NearDuplicates,
) -> pl.DataFrame:
    """Give accepted `rows` their groups and duplicates those of their originals; where near-duplicates are skipped, mark them.

    `standing` are the rows of theirs that were accepted before: their status stays, and their group where they have one.
    """
    key = list(spec.key)
    before = standing.select(*key, pl.col("near_duplicate_group").alias("kept_group"), is_settled=pl.lit(True))
    accepted = rows.filter(status=ACCEPTED).join(before, on=key, how="left")
    accepted = accepted.with_columns(pl.col("is_settled").fill_null(False), near_duplicate_group=pl.col("kept_group"))
    is_open = pl.col("near_duplicate_group").is_null() & pl.col("perceptual_hash").is_not_null()
    of_looks = accepted.filter(is_open)
    elsewhere = _lookalikes(of_looks, table, near).join(rows, on=key, how="anti")
    here = accepted.filter(~is_open & pl.col("perceptual_hash").is_not_null())
    compared = ["day", "key", "received_at", "perceptual_hash", "near_duplicate_group"]
    of_looks = grouped(of_looks, pl.concat([elsewhere.select(compared), here.select(compared)]), near)
    # A flat picture looks like every other flat one: it is alone.
    of_itself = accepted.filter(~is_open).with_columns(
        pl.coalesce("near_duplicate_group", "image_id").alias("near_duplicate_group"), is_near_duplicate=pl.lit(False)
    )
    done = pl.concat([of_looks, of_itself]).select(
        *key,
        pl.col("near_duplicate_group").alias("group"),
        (pl.col("is_near_duplicate") & ~pl.col("is_settled") & pl.lit(near.skip)).alias("is_skipped"),
    )
    return _with_groups(rows, done, originals, key)


def _with_groups(rows: pl.DataFrame, done: pl.DataFrame, originals: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """`rows` with what was found of those that are acceptable (`done`): the rest are their duplicates, or those of `originals`."""
    of_bytes = ["sha256", "group", "is_skipped"]
    elsewhere = originals.with_columns(
        group=pl.coalesce("near_duplicate_group", "image_id"), is_skipped=pl.lit(False)
    ).select(of_bytes)
    here = rows.join(done, on=key).select(of_bytes)
    by_bytes = pl.concat([elsewhere, here]).unique("sha256", keep="last", maintain_order=True)
    is_judged = pl.col("status") != REJECTED
    marked = rows.join(by_bytes, on="sha256", how="left").with_columns(
        pl.when(is_judged).then(pl.col("group")).alias("near_duplicate_group"),
        (pl.col("is_skipped").fill_null(False) & is_judged).alias("is_skipped"),
    )
    skipped = pl.col("is_skipped")
    looks_like = pl.format("looks like {}", "group")
    return marked.with_columns(
        status=pl.when(skipped).then(pl.lit(DUPLICATE)).otherwise(pl.col("status")),
        reason=pl.when(skipped).then(pl.lit(NEAR_DUPLICATE)).otherwise(pl.col("reason")),
        reason_detail=pl.when(skipped).then(looks_like).otherwise(pl.col("reason_detail")),
        duplicate_of=pl.when(skipped).then(pl.col("group")).otherwise(pl.col("duplicate_of")),
    ).select(rows.columns)


def _lookalikes(photos: pl.DataFrame, table: pl.LazyFrame, near: NearDuplicates) -> pl.DataFrame:
    """The accepted photos whose hashes are like those of these."""
    if photos.is_empty():
        return photos
    span = pl.duration(days=near.days)
    [(first_day, last_day)] = photos.select(pl.col("day").min() - span, pl.col("day").max().alias("last") + span).rows()
    accepted = table.filter(
        (pl.col("status") == ACCEPTED)
        & pl.col("perceptual_hash").is_not_null()
        & pl.col("day").is_between(first_day, last_day)
    )
    # First twelve bytes of each photo, then the whole of the few that are wanted: a month may hold a million.
    alike = alike_hashes(photos, accepted.select("day", "perceptual_hash").unique().collect(), near)
    return accepted.filter(pl.col("perceptual_hash").is_in(alike.implode())).collect()


def insert_missing(
    incoming: pl.DataFrame, table: pl.LazyFrame, spec: TableSpec, _near: NearDuplicates = BY_DEFAULT
) -> Change | None:
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


RULES: dict[Rule, Callable[[pl.DataFrame, pl.LazyFrame, TableSpec, NearDuplicates], Change | None]] = {
    Rule.MERGE_OBJECTS: merge_objects,
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
