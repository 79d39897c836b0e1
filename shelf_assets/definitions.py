"""The code location: settings in, Definitions out. What an asset, a check or a sensor is belongs in its own room."""

import dagster as dg

from shelf_assets.defs.assets.image_tensors import image_tensors
from shelf_assets.defs.assets.landing import landing
from shelf_assets.defs.assets.marts import build_marts
from shelf_assets.defs.assets.predictions import predictions
from shelf_assets.defs.assets.raw_images import raw_images
from shelf_assets.defs.automation.arrivals import build_arrivals_sensor
from shelf_assets.defs.automation.freshness import due_in_the_morning, with_freshness
from shelf_assets.defs.automation.maintenance import MAINTENANCE_JOB, build_maintenance_schedule
from shelf_assets.defs.automation.run_status import run_failures
from shelf_assets.defs.automation.schedules import NIGHTLY_JOB, build_nightly_schedule
from shelf_assets.defs.checks.contracts import contract_checks
from shelf_assets.defs.checks.quality import quality_checks
from shelf_assets.defs.executor import build_executor
from shelf_assets.defs.resources.build import build_resources
from shelf_assets.settings import Settings, load_settings


def build_defs(settings: Settings, resource_overrides: dict[str, object] | None = None) -> dg.Definitions:
    """Definitions for these settings; tests pass their own resources."""
    return dg.Definitions(
        assets=with_freshness(
            [landing, raw_images, image_tensors, predictions, build_marts(settings)],
            due_in_the_morning(settings.dagster.nightly_hour_utc),
        ),
        asset_checks=[*contract_checks, *quality_checks],
        jobs=[NIGHTLY_JOB, MAINTENANCE_JOB],
        schedules=[build_nightly_schedule(settings), build_maintenance_schedule(settings)],
        sensors=[
            build_arrivals_sensor(settings),
            run_failures,
            dg.AutomationConditionSensorDefinition(
                "automation", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING
            ),
        ],
        resources=build_resources(settings) | (resource_overrides or {}),
        executor=build_executor(settings),
    )


defs = build_defs(load_settings())
