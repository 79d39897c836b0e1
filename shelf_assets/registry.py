"""The registry: every stage of a day and every table, in the order of the graph.

Settings, plan, cost, assets, checks, maintenance, status, photo history and dbt's sources derive from it. A stage declares
itself in a module of its own, and the registry names the module. This module imports nothing heavy until a declaration is
asked for, so that settings and `shelf --help` can read the names.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shelf_assets.lake.schemas import TableSpec
    from shelf_assets.pipeline.stage import PredictionStage, Stage

# One line adds a stage. The stage's module has the same name and declares STAGE. A stage comes after those that it reads.
_STAGE_MODULES = (
    "shelf_assets.pipeline.stages.raw_images",
    "shelf_assets.pipeline.stages.image_tensors",
    "shelf_assets.pipeline.stages.classifications",
    "shelf_assets.pipeline.stages.clip_embeddings",
    "shelf_assets.pipeline.stages.image_quality",
)

STAGE_NAMES = tuple(module.rpartition(".")[2] for module in _STAGE_MODULES)


@cache
def stages() -> tuple[Stage, ...]:
    """Every stage, in the order of the graph."""
    return tuple(import_module(module).STAGE for module in _STAGE_MODULES)


def prediction_stages() -> tuple[PredictionStage, ...]:
    """The stages that make rows from the pixels of accepted photos."""
    from shelf_assets.pipeline.stage import PredictionStage

    return tuple(stage for stage in stages() if isinstance(stage, PredictionStage))


@cache
def tables() -> dict[str, TableSpec]:
    """Every table by its name: those of the stages, and the log of what the stages cost."""
    from shelf_assets.lake.schemas import STAGE_RUNS

    declared = [*(stage.table for stage in stages() if stage.table is not None), STAGE_RUNS]
    return {table.name: table for table in declared}


def table_stages() -> tuple[str, ...]:
    """Names of the stages that have a table; the table has the stage's name."""
    return tuple(stage.name for stage in stages() if stage.table is not None)
