"""Rule slowly_changing: a history of versions per entity, each valid from `valid_from` to `valid_to`.

A fact is an incoming row: from `valid_from` on, the entity has these attributes, until the entity's next fact, or until the
fact's own `valid_to` if that is earlier (then a gap follows). Each fact is one version, so the history does not depend on
the order in which facts arrive, and a late fact is inserted between its neighbours. A fact with the `valid_from` of an
existing version corrects that version.
"""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.change import Change, changed_rows
from shelf_assets.lake.schemas import TableSpec


def slowly_changing(incoming: pl.DataFrame, known: KnownRows, spec: TableSpec) -> Change | None:
    """Return the histories of the incoming entities with their new facts; None if they contain all of them.

    Facts of entities that do not exist yet are appended; every other change rewrites the table.
    """
    existing = known.all_rows().collect()
    entities = incoming.select(spec.entity_key).unique()
    before = existing.join(entities, on=spec.entity_key, how="semi")
    retained = before.join(incoming, on=list(spec.key), how="anti")
    after = _with_ends(pl.concat([retained, incoming]), spec)
    if changed_rows(after, before, spec).is_empty():
        return None
    rows_new = changed_rows(after, before, spec, ignored=("valid_to",)).height
    if before.is_empty():
        return Change(after, rows_new=rows_new)
    others = existing.join(entities, on=spec.entity_key, how="anti")
    return Change(pl.concat([others, after]), replaces_table=True, rows_new=rows_new)


def valid_at(rows: pl.LazyFrame, moment: pl.Expr) -> pl.LazyFrame:
    """The versions that are valid at a moment."""
    is_open = pl.col("valid_to").is_null() | (pl.col("valid_to") > moment)
    return rows.filter((pl.col("valid_from") <= moment) & is_open)


def drop_unchanged(facts: pl.DataFrame, known: KnownRows, spec: TableSpec) -> pl.DataFrame:
    """The facts that differ from the version of their entity that is valid at their `valid_from`.

    For feeds that repeat unchanged entities, such as a daily snapshot, and that arrive in order of time. The rule keeps
    repeated facts: one that is dropped here cannot limit a late fact that lies before it.
    """
    attributes = [name for name in spec.columns if name not in (*spec.entity_key, "valid_from", "valid_to")]
    open_facts = facts.lazy().filter(pl.col("valid_to").is_null()).drop("valid_to").rename({"valid_from": "moment"})
    versions = known.all_rows().rename({name: f"known {name}" for name in attributes})
    valid = valid_at(open_facts.join(versions, on=spec.entity_key), pl.col("moment"))
    same = valid.filter(pl.col(name).eq_missing(pl.col(f"known {name}")) for name in attributes)
    repeated = same.select(*spec.entity_key, valid_from="moment").collect()
    return facts.join(repeated, on=list(spec.key), how="anti")


def _with_ends(versions: pl.DataFrame, spec: TableSpec) -> pl.DataFrame:
    """The versions in order, each ending where the next version of its entity begins, or earlier.

    An end only moves to earlier moments when facts are added, so the earlier of the two is right in any order of arrival.
    """
    next_from = pl.col("valid_from").shift(-1).over(spec.entity_key)
    return versions.sort(*spec.entity_key, "valid_from").with_columns(valid_to=pl.min_horizontal("valid_to", next_from))
