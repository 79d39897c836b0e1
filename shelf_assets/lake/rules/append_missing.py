"""Rule append_missing: add the rows whose key does not exist yet."""

from __future__ import annotations

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.change import Change, days_of, replaceable_rows, replacement
from shelf_assets.lake.schemas import TableSpec


def append_missing(incoming: pl.DataFrame, known: KnownRows, spec: TableSpec) -> Change | None:
    """Return the rows of `incoming` whose key does not exist yet; None if all exist.

    An existing row with the same key and another fingerprint (its input bytes changed) is replaced.
    """
    days, key = days_of(incoming, spec), list(spec.key)
    existing = replaceable_rows(known, days, spec)
    identity = list(dict.fromkeys([*key, *([spec.fingerprint] if spec.fingerprint else [])]))
    present = existing.select(identity).collect()
    new = incoming.join(present, on=identity, how="anti")
    if new.is_empty():
        return None
    stale = new.select(key).join(present, on=key, how="semi")
    if stale.is_empty():
        return Change(new, rows_new=new.height)
    retained = existing.collect().join(stale, on=key, how="anti")
    return replacement(pl.concat([retained, new]), days, spec, rows_new=new.height)
