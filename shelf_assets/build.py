"""Assembly: makes the parts of the platform from the settings; `build_defs` passes them to Dagster.

Only this module, the `shelf` command and the servers see all settings. Each part gets its own group.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shelf_assets.bi.dbt_project import DbtProjectHere
from shelf_assets.extras import is_installed
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.rules.registry import build_rules
from shelf_assets.lake.store_options import store_options
from shelf_assets.observe.tracking import Tracking
from shelf_assets.pipeline.ingest import Ingest
from shelf_assets.pipeline.models import PredictionModels
from shelf_assets.pipeline.photo_reader import PhotoReader
from shelf_assets.pipeline.predict import Predict
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


def open_lake(settings: Settings) -> Lake:
    photos = settings.photos
    near = NearDuplicates(
        bits=photos.near_duplicate_bits, days=photos.near_duplicate_days, skip=photos.near_duplicates == "skip"
    )
    return Lake(settings.lake.url, store_options(settings.lake), build_rules(near))


def build_ingest(settings: Settings, lake: Lake) -> Ingest:
    reader = PhotoReader.of(lake, settings.vision, settings.photos)
    return Ingest(lake, reader, Tensors(lake, settings.vision), settings.photos.limits)


def build_models(settings: Settings, lake: Lake) -> PredictionModels:
    geometry = Tensors(lake, settings.vision).geometry
    return PredictionModels(settings.models, geometry, settings.home, lake, settings.on_cluster)


def build_dbt_project(settings: Settings) -> DbtProjectHere:
    return DbtProjectHere(settings.home, settings.lake, settings.bi, settings.pipeline.eur_per_hour)


def build_defs(settings: Settings, resource_overrides: dict[str, object] | None = None) -> dg.Definitions:
    """Dagster's definitions for these settings; tests replace some resources by key."""
    import dagster as dg

    from shelf_assets.defs.assets.image_tensors import image_tensors
    from shelf_assets.defs.assets.landing import landing
    from shelf_assets.defs.assets.predictions import build_predictions
    from shelf_assets.defs.assets.raw_images import raw_images
    from shelf_assets.defs.automation.arrivals import build_arrivals_sensor
    from shelf_assets.defs.automation.freshness import due_in_the_morning, with_freshness
    from shelf_assets.defs.automation.jobs import NIGHTLY_JOB, STAGES_JOB
    from shelf_assets.defs.automation.maintenance import build_maintenance_job, build_maintenance_schedule
    from shelf_assets.defs.automation.run_status import run_failures
    from shelf_assets.defs.automation.schedules import build_nightly_schedule
    from shelf_assets.defs.checks import build_asset_checks
    from shelf_assets.defs.executor import build_executor
    from shelf_assets.defs.io_managers.delta import DeltaIOManager
    from shelf_assets.defs.io_managers.tensors import TensorIOManager
    from shelf_assets.lake.maintenance import Policy
    from shelf_assets.pipeline.plan import photos_of_work

    dagster = settings.dagster
    dbt_project = build_dbt_project(settings)
    resources = dict(resource_overrides or {})
    lake = resources.setdefault("lake", open_lake(settings))
    assert isinstance(lake, Lake)
    models = resources.setdefault("models", build_models(settings, lake))
    assert isinstance(models, PredictionModels)
    ingest = build_ingest(settings, lake)
    built: dict[str, object] = {
        "delta_io": DeltaIOManager(lake),
        "tensor_io": TensorIOManager(ingest.tensors),
        "ingest": ingest,
        "predict": Predict(lake, ingest.reader, ingest.tensors, models, settings.pipeline.commit_images),
        "pipeline": settings.pipeline,
        "maintenance": Policy.of(settings.lake),
        "tracking": Tracking(settings.tracking.uri),
    }
    marts: list[dg.AssetsDefinition] = []
    if is_installed("marts"):
        # The stages run without them.
        from shelf_assets.defs.assets.marts import build_marts
        from shelf_assets.defs.resources.dbt import Dbt

        marts.append(build_marts(dbt_project))
        built["dbt"] = Dbt(dbt_project)
    maintenance_job = build_maintenance_job()
    return dg.Definitions(
        assets=with_freshness(
            [landing, raw_images, image_tensors, build_predictions(), *marts],
            due_in_the_morning(dagster.nightly_hour_utc),
        ),
        asset_checks=build_asset_checks(),
        jobs=[NIGHTLY_JOB, STAGES_JOB, maintenance_job],
        schedules=[
            build_nightly_schedule(dagster.nightly_hour_utc),
            build_maintenance_schedule(maintenance_job, dagster.nightly_hour_utc),
        ],
        sensors=[
            build_arrivals_sensor(dagster, settings.lake),
            run_failures,
            dg.AutomationConditionSensorDefinition(
                "automation", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING
            ),
        ],
        resources=built | resources,
        executor=build_executor(dagster, partial(photos_of_work, ingest.tensors, models)),
    )
