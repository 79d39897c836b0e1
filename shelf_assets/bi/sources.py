"""The files of the dbt project that are made from the registry: sources with their columns, stages with their prices.

`python -m shelf_assets.bi.sources` writes the two files into dbt_bi; with --check it changes nothing and fails where one is
out of step.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from shelf_assets.lake.schemas import TableSpec
from shelf_assets.pipeline.prices import eur_per_hour
from shelf_assets.registry import table_stages, tables

_MADE = "Made by `python -m shelf_assets.bi.sources` from the registry of stages and tables; a test keeps it in step."


def generated_files() -> dict[str, str]:
    """Content of each generated file, by its path in the dbt project."""
    return {"models/staging/sources.yml": _sources(), "macros/stages.sql": _stages()}


def _sources() -> str:
    lines = [
        f"# {_MADE}",
        "version: 2",
        "",
        "sources:",
        "  - name: lake",
        "    description: Delta tables of the lake, written by the pipeline.",
        "    schema: \"{{ env_var('DATABRICKS_SCHEMA', 'shelf_assets') if target.type == 'databricks' else 'lake' }}\"",
        "    tables:",
    ]
    for spec in tables().values():
        lines += _source(spec)
    return "\n".join(lines) + "\n"


def _source(spec: TableSpec) -> list[str]:
    meta: dict[str, object] = {"personal": spec.is_personal}
    # A log is no asset: as a source with a key of its own Dagster would wait for it for ever (macro lake_log).
    if spec.name in table_stages():
        meta["dagster"] = {"asset_key": [spec.name]}
    return [
        f"      - name: {spec.name}",
        f"        description: {json.dumps(spec.grain, ensure_ascii=False)}",
        f"        config: {json.dumps({'meta': meta})}",
        "        columns:",
        *(
            f"          - {{name: {name}, description: {json.dumps(column.description, ensure_ascii=False)}}}"
            for name, column in spec.columns.items()
        ),
    ]


def _stages() -> str:
    return f"""{{#- {_MADE} -#}}

{{#- Names of the stages that have a table, in the order of the graph. -#}}
{{%- macro stages_with_tables() -%}}
    {{{{- return({json.dumps(table_stages())}) -}}}}
{{%- endmacro -%}}

{{#- Price of one hour of every stage where the variable eur_per_hour gives none. -#}}
{{%- macro default_eur_per_hour() -%}}
    {{{{- return({json.dumps(eur_per_hour({}))}) -}}}}
{{%- endmacro -%}}
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--project", type=Path, default=Path("dbt_bi"), help="folder of the dbt project")
    arguments.add_argument("--check", action="store_true", help="change nothing; fail where a file is out of step")
    given = arguments.parse_args()
    for name, content in generated_files().items():
        path: Path = given.project / name
        if path.exists() and path.read_text() == content:
            continue
        if given.check:
            sys.exit(f"{path} is out of step with the registry: run python -m shelf_assets.bi.sources")
        path.write_text(content)


if __name__ == "__main__":
    main()
