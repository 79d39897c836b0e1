"""dagster-dbt as our processes use it: dbt is a command, its Python stays out. Import dagster-dbt's names from here; what
dbt is told belongs in `dbt.py`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from typing import Any

from packaging.version import Version


@contextmanager
def not_importable(module: str) -> Iterator[None]:
    """Within the block `module` cannot be imported: None in `sys.modules` is Python's own word for that."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# dbt-core is an extra of dagster-dbt, which works without it. Where it finds it, it imports 1.8 CPU-s of dbt into every
# process that loads the graph, for enums and a selection of all models. See docs/decisions/007.
with not_importable("dbt.version"):
    from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

__all__ = ["DagsterDbtTranslator", "DbtCommand", "DbtProject", "dbt_assets"]


class DbtCommand(DbtCliResource):
    """dbt's command line. Row counts and column metadata by dagster-dbt's adapter are not to be had: the marts' contracts
    declare the columns, and the tables' own tests count."""

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        """No adapter: building it in this process costs 1.5 CPU-s in every run."""
        return None

    @cached_property
    def _cli_version(self) -> Version:
        """The installed version: `dbt --version` costs 4 CPU-s in every run, and asks a package registry for news."""
        return Version(version("dbt-core"))
