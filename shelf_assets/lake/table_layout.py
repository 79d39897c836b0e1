"""Layout of a Delta table: created as declared, extended by declared columns, refused if it differs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, Schema

from shelf_assets.lake.schemas import SchemaError, TableSpec

log = logging.getLogger(__name__)


def create_table(spec: TableSpec, uri: str, storage_options: Mapping[str, str]) -> DeltaTable:
    """Create the empty table; if another process has created it meanwhile, open that one."""
    return DeltaTable.create(
        uri,
        schema=_arrow_schema(spec, list(spec.columns)),
        mode="ignore",
        partition_by=_partition_columns(spec),
        name=spec.name,
        description=spec.grain,
        storage_options=dict(storage_options),
    )


def add_missing_columns(table: DeltaTable, spec: TableSpec) -> None:
    """Add the declared columns that the table lacks; existing rows have null there."""
    existing = _column_names(table)
    if added := [name for name in spec.columns if name not in existing]:
        table.alter.add_columns(list(Schema.from_arrow(_arrow_schema(spec, added)).fields))
        log.info("%s: column(s) %s added", spec.name, ", ".join(added))


def refuse_other_layout(table: DeltaTable, spec: TableSpec) -> None:
    """Raise SchemaError if writing to the table would lose values or could not erase rows."""
    where = f"{spec.name} at {table.table_uri}"
    # Rewriting a day would drop the values of columns that this version of the programme does not know.
    if unknown := [name for name in _column_names(table) if name not in spec.columns]:
        raise SchemaError(
            f"{where} has the column(s) {', '.join(unknown)}, which this version does not declare: a newer version of "
            "this programme wrote them. Nothing was written; use that version"
        )
    found = table.metadata()
    if list(found.partition_columns) != _partition_columns(spec):
        raise SchemaError(
            f"{where} is partitioned by {', '.join(found.partition_columns) or 'nothing'}, but declared as partitioned by "
            f"{spec.partitioning}. Nothing was written"
        )
    # A deletion vector hides rows without removing them from the files, so that erased rows would remain.
    if found.configuration.get("delta.enableDeletionVectors", "false").lower() == "true":
        raise SchemaError(
            f"{where} has deletion vectors enabled, with which erased rows stay in the files. Nothing was written; rewrite "
            "the table without delta.enableDeletionVectors"
        )


def _partition_columns(spec: TableSpec) -> list[str]:
    return ["day"] if spec.is_by_day else []


def _column_names(table: DeltaTable) -> list[str]:
    return [field.name for field in table.schema().fields]


def _arrow_schema(spec: TableSpec, names: Sequence[str]) -> pa.Schema:
    return spec.empty().select(names).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
