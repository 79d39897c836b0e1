"""Rule merge_objects: newly read objects join raw_images, each accepted, duplicate or rejected."""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.change import Change, days_of
from shelf_assets.lake.rules.duplicates import mark_duplicates
from shelf_assets.lake.rules.groups import mark_near_duplicates
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE, TableSpec


def merge_objects(incoming: pl.DataFrame, known: KnownRows, spec: TableSpec, near: NearDuplicates) -> Change | None:
    """Merge newly read objects into raw_images; None if all of them exist with the same bytes and result.

    A row replaces the existing row with the same key (the object was overwritten, or was `gone` and came back). All other
    rows stay, also those whose object is no longer listed. Of the incoming rows that are acceptable, those whose sha256 is
    accepted on any day become duplicates; among themselves the first received wins, then the smaller key. The remaining ones
    get a near-duplicate group (`groups`); if `near.skip` is set, near-duplicates become duplicates as well.

    Existing rows keep their status and their group, whatever arrives in whatever order. Exception: when an accepted photo is
    overwritten with other bytes, its duplicates on all days, and all photos of its group if the group has its name, are
    evaluated again; photos that were accepted stay accepted.
    """
    key = list(spec.key)
    existing = _rows_of_days(known, incoming, spec)
    incoming = _unmerged(incoming, existing)
    if incoming.is_empty():
        return None

    acceptable = incoming.filter(status=ACCEPTED)
    replaced = existing.filter(status=ACCEPTED).join(incoming, on=key, how="semi")
    retained = replaced.join(acceptable, on=[*key, "sha256"], how="semi")
    # Rows written before there were groups are their own group, as their duplicates and the marts already assume.
    retained = retained.with_columns(near_duplicate_group=pl.coalesce("near_duplicate_group", "image_id"))
    overwritten = replaced.join(acceptable, on=[*key, "sha256"], how="anti")
    if not overwritten.is_empty():
        orphaned = _orphaned(known, overwritten, key).join(incoming, on=key, how="anti")
        retained = pl.concat([retained, orphaned.filter(status=ACCEPTED)])
        retained = _without_groups(retained, _groups_named_after(overwritten))
        incoming = pl.concat([incoming, _unevaluated(orphaned)])
        existing = _rows_of_days(known, incoming, spec)

    days = days_of(incoming, spec)
    kept = existing.filter(pl.col("day").is_in(days)).join(incoming, on=key, how="anti")
    originals = _originals(known, incoming, pl.concat([kept.filter(status=ACCEPTED), retained]))
    merged = mark_duplicates(incoming, originals)
    merged = mark_near_duplicates(merged, originals, retained, known, spec, near)
    return Change(pl.concat([kept, merged]), replaced_days=days, rows_new=merged.height)


def _rows_of_days(known: KnownRows, rows: pl.DataFrame, spec: TableSpec) -> pl.DataFrame:
    """All existing rows of the days of `rows`."""
    return known.of_days(days_of(rows, spec)).collect()


def _originals(known: KnownRows, incoming: pl.DataFrame, accepted_here: pl.DataFrame) -> pl.DataFrame:
    """sha256, image_id, key and near_duplicate_group of accepted photos whose bytes incoming rows may repeat.

    `accepted_here` are those of the incoming rows' days, from other days only the same bytes are read.
    """
    hashes, days = incoming.filter(status=ACCEPTED)["sha256"].unique(), incoming["day"].unique().to_list()
    wanted = ["sha256", "image_id", "key", "near_duplicate_group"]
    elsewhere = known.accepted_with(hashes).filter(~pl.col("day").is_in(days))
    return pl.concat([elsewhere.select(wanted).collect(), accepted_here.select(wanted)])


def _orphaned(known: KnownRows, overwritten: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The rows that depend on overwritten photos: duplicates of their bytes, members of groups named after them."""
    copies = known.copies_of(overwritten["sha256"]).collect()
    members = known.members_of(_groups_named_after(overwritten)).collect()
    return pl.concat([copies, members]).unique(key, maintain_order=True)


def _groups_named_after(photos: pl.DataFrame) -> pl.Series:
    return photos.filter(pl.col("image_id") == pl.col("near_duplicate_group"))["image_id"]


def _without_groups(rows: pl.DataFrame, groups: pl.Series) -> pl.DataFrame:
    group = pl.col("near_duplicate_group")
    return rows.with_columns(pl.when(~group.is_in(groups.implode())).then(group).alias("near_duplicate_group"))


def _unevaluated(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as they came in: acceptable, and without reference to other photos."""
    nothing = pl.lit(None, pl.String)
    return rows.with_columns(
        status=pl.lit(ACCEPTED),
        reason=nothing,
        reason_detail=nothing,
        duplicate_of=nothing,
        near_duplicate_group=nothing,
    )


def _unmerged(incoming: pl.DataFrame, existing: pl.DataFrame) -> pl.DataFrame:
    """The incoming rows that do not exist with the same bytes and result; a duplicate was acceptable when it came in."""
    is_duplicate = pl.col("status") == DUPLICATE
    as_incoming = existing.with_columns(
        status=pl.when(is_duplicate).then(pl.lit(ACCEPTED)).otherwise(pl.col("status")),
        reason=pl.when(~is_duplicate).then(pl.col("reason")),
    )
    identity = ["day", "key", "etag", "sha256", "status", "reason"]
    return incoming.join(as_incoming, on=identity, how="anti", nulls_equal=True)
