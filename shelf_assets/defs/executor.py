"""How the steps of a run are started: in the run's process for small runs, otherwise each in a separate process or pod.

Pod sizes and pools are in `compute`.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from typing import Any, cast

import dagster as dg

from shelf_assets.days import days_between
from shelf_assets.defs.running import RANGE_END, RANGE_START
from shelf_assets.defs.settings import DagsterSettings
from shelf_assets.extras import is_installed
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.models.errors import ModelError

log = logging.getLogger(__name__)

# Photos that a run of these days and assets would work on; counting may stop above the number.
PhotosOfWork = Callable[[Sequence[date], Collection[str], int], int]


def build_executor(settings: DagsterSettings, photos_of_work: PhotosOfWork) -> dg.ExecutorDefinition:
    """The executor of the settings, with small runs in one process."""
    if settings.executor == "in_process":
        return dg.in_process_executor
    apart = _one_process_a_step(settings)
    most_photos = settings.most_photos_in_process

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        here = context._replace(executor_config={"retries": {"enabled": {}}})
        return _BySize(_created(dg.in_process_executor, here), _created(apart, context), most_photos, photos_of_work)

    return dg.ExecutorDefinition(
        name=apart.name,
        config_schema=cast(Any, apart.config_schema),
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=create,
        description=apart.description,
    )


def _created(executor: dg.ExecutorDefinition, context: dg.InitExecutorContext) -> dg.Executor:
    assert executor.executor_creation_fn is not None  # both executors are Dagster's and have one
    return executor.executor_creation_fn(context)


class _BySize(dg.Executor):
    """Chooses the executor for each run: one late photo should not start a process for every step of its day."""

    def __init__(
        self, together: dg.Executor, apart: dg.Executor, most_photos: int, photos_of_work: PhotosOfWork
    ) -> None:
        self._together, self._apart = together, apart
        self._most_photos, self._photos_of_work = most_photos, photos_of_work

    @property
    def retries(self) -> Any:
        return self._apart.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._apart.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        is_small = self._is_small(_days(plan_context.dagster_run.tags), _assets(execution_plan))
        chosen = self._together if is_small else self._apart
        return chosen.execute(plan_context, execution_plan)

    def _is_small(self, days: Sequence[date], assets: Collection[str]) -> bool:
        if not (self._most_photos and days):
            return False
        try:
            return self._photos_of_work(days, assets, self._most_photos) <= self._most_photos
        except (StoreUnavailable, ModelError) as error:
            # The steps get the same error and report it.
            log.warning("the size of the run is unknown: %s", error)
            return False


def _assets(execution_plan: Any) -> set[str]:
    """Names of the assets that the plan's steps make."""
    steps = [execution_plan.get_step_by_key(key) for key in execution_plan.step_keys_to_execute]
    keys = [output.properties.asset_key for step in steps for output in step.step_outputs]
    return {key.to_user_string() for key in keys if key is not None}


def _days(tags: dict[str, str]) -> list[date]:
    if first := tags.get(RANGE_START):
        return days_between(date.fromisoformat(first), date.fromisoformat(tags[RANGE_END]))
    partition = tags.get("dagster/partition")
    return [date.fromisoformat(partition)] if partition else []


def _one_process_a_step(settings: DagsterSettings) -> dg.ExecutorDefinition:
    if settings.executor == "k8s":
        # The Kubernetes client costs nearly as much as Dagster itself, and every process imports this module.
        from dagster_k8s import k8s_job_executor

        config: dict[str, object] = {"job_image": settings.k8s_image} if settings.k8s_image else {}
        return k8s_job_executor.configured(config)
    preloaded = "shelf_assets.defs.resources.dbt" if is_installed("marts") else "dagster"
    multiprocess: dict[str, object] = {
        # The default is the node's number of cores. Each step holds a model in memory.
        "max_concurrent": settings.max_concurrent_steps,
        # Steps fork from a process that has imported Dagster and dagster-dbt, so that they need not import them again. It may
        # import nothing else: polars starts threads when it is imported, and a fork loses threads.
        "start_method": {"forkserver": {"preload_modules": [preloaded]}},
    }
    return dg.multiprocess_executor.configured(multiprocess)
