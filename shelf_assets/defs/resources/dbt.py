"""dagster-dbt without importing dbt, which is only called as a command. Import dagster-dbt's names from here.

The project, its manifest and its environment are in `bi.dbt_project`.
"""

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import dagster as dg
from packaging.version import Version

from shelf_assets.bi.dbt_project import DbtProjectHere


@contextmanager
def not_importable(module: str) -> Iterator[None]:
    """Make `module` not importable within the block: None in `sys.modules` has that effect."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# dagster-dbt works without dbt-core. If dbt-core is importable, dagster-dbt imports it in every process that loads the graph,
# which takes 1.8 CPU-s and is only needed for enums and a selection of all models. See docs/decisions/007.
with not_importable("dbt.version"):
    from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtProject, dbt_assets
    from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context

__all__ = ["DagsterDbtTranslator", "Dbt", "DbtProject", "dbt_assets"]


class Dbt:
    """Runs dbt's command line for Dagster.

    Replaces `DbtCliResource`, which passes only this process's environment to dbt (so that days and URLs would have to be
    exported), and builds dbt's adapter in this process, for 1.5 CPU-s in every run. Without that adapter there are no row
    counts and no column metadata; the marts' contracts declare the columns, and dbt's tests count rows.
    """

    def __init__(self, project: DbtProjectHere) -> None:
        self.project = project

    def build(self, context: dg.AssetExecutionContext, first_day: str, last_day: str) -> Iterator[Any]:
        """`dbt build` of the selected models over the days, both included, as Dagster's events."""
        project = self.project
        project.home.mkdir(parents=True, exist_ok=True)
        chosen = get_updated_cli_invocation_params_for_context(
            context=context, manifest={}, dagster_dbt_translator=DagsterDbtTranslator()
        )
        target_path = project.target_path / f"marts-{context.run.run_id[:7]}-{uuid.uuid4().hex[:7]}"
        target_path.mkdir(parents=True)
        parsed = project.target_path / "partial_parse.msgpack"
        if parsed.exists():
            shutil.copy(parsed, target_path)
        environment = project.environment() | {
            "DBT_FIRST_DAY": first_day,
            "DBT_LAST_DAY": last_day,
            "DBT_LOG_FORMAT": "json",
            "DBT_LOG_PATH": str(target_path),
            "DBT_PROJECT_DIR": str(project.folder),
            "DBT_TARGET_PATH": str(target_path),
            "PYTHONUNBUFFERED": "1",
        }
        if chosen.indirect_selection:
            environment["DBT_INDIRECT_SELECTION"] = chosen.indirect_selection
        invocation = DbtCliInvocation.run(
            args=[project.executable, "build", "--vars", project.variables, *chosen.selection_args],
            env=environment,
            manifest=chosen.manifest,
            dagster_dbt_translator=chosen.dagster_dbt_translator,
            project_dir=project.folder,
            target_path=target_path,
            raise_on_error=True,
            context=context,
            adapter=None,
            # The installed version: `dbt --version` takes 4 CPU-s in every run and requests a package registry.
            cli_version=Version(version("dbt-core")),
            dbt_project=chosen.dbt_project,
        )
        yield from invocation.stream()
