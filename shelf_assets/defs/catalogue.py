"""What Dagster's catalogue shows of our tables: column schemas, lineage, row counts. Made from the declared schemas."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from shelf_assets.lake.schemas import TableSpec


def column_schema(spec: TableSpec) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=str(pl.Schema({name: column.dtype})[name]),
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=len(spec.key) == 1 and name in spec.key
                ),
            )
            for name, column in spec.columns.items()
        ],
        constraints=dg.TableConstraints(other=[spec.grain, f"key: ({', '.join(spec.key)})"]),
    )


def table_metadata(spec: TableSpec, lineage: Mapping[str, list[tuple[str, str]]] | None = None) -> dict[str, object]:
    """Definition metadata of a table asset. `lineage`: column -> [(upstream asset, column)]."""
    metadata: dict[str, object] = {
        "dagster/column_schema": column_schema(spec),
        "dagster/table_name": spec.name,
        "dagster/storage_kind": "delta",
        "personal": spec.is_personal,
    }
    if lineage:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=source) for asset, source in sources
                ]
                for column, sources in lineage.items()
            }
        )
    return metadata


def table_description(spec: TableSpec, more: str = "") -> str:
    return f"{spec.grain} {more}".strip()
