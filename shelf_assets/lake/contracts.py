"""Check the rows of a table against its declared schema, without collecting them."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from shelf_assets.lake.schemas import TableSpec


class Contract(NamedTuple):
    """The number of checked rows, and the first violation; None if there is none."""

    rows: int
    violation: str | None


def check_contract(rows: pl.LazyFrame, spec: TableSpec) -> Contract:
    """Check types, nullability and the key of rows in the declared columns, by the streaming engine."""
    for name, dtype in rows.collect_schema().items():
        if dtype != spec.schema[name]:
            return Contract(0, f"{spec.name}.{name} must be {spec.schema[name]}, not {dtype}")
    required = [name for name, column in spec.columns.items() if not column.nullable]
    asked = rows.select(pl.len().alias("rows"), *(pl.col(name).null_count().alias(f"{name} ") for name in required))
    counts = asked.collect(engine="streaming").row(0, named=True)
    count = int(counts.pop("rows"))
    for name, nulls in counts.items():
        if nulls:
            return Contract(count, f"{spec.name}.{name.strip()} is declared not null, yet {nulls} rows are")
    keys = rows.select(spec.key).unique().select(pl.len()).collect(engine="streaming").item()
    if keys != count:
        return Contract(count, f"{spec.name}: {count - keys} rows repeat the key ({', '.join(spec.key)})")
    return Contract(count, None)
