"""How the steps of a run are started: in this process, forked, or in pods. Shapes of pods and pools belong in `compute.py`."""

import dagster as dg

from shelf_assets.defs.settings import DagsterSettings


def build_executor(settings: DagsterSettings) -> dg.ExecutorDefinition:
    if settings.executor == "k8s":
        # The Kubernetes client costs nearly as much as Dagster itself, and every process imports this module.
        from dagster_k8s import k8s_job_executor

        config: dict[str, object] = {"job_image": settings.k8s_image} if settings.k8s_image else {}
        return k8s_job_executor.configured(config)
    if settings.executor == "in_process":
        return dg.in_process_executor
    multiprocess: dict[str, object] = {
        # Unset, it counts the node's cores; two steps hold two models in memory at most.
        "max_concurrent": settings.max_concurrent_steps,
        # Steps fork from one process that has imported Dagster and dagster-dbt, else each of a day's twelve does so anew. No
        # more may be imported there: polars starts threads as it is imported, and a fork does not carry those over.
        "start_method": {"forkserver": {"preload_modules": ["shelf_assets.defs.resources.dbt"]}},
    }
    return dg.multiprocess_executor.configured(multiprocess)
