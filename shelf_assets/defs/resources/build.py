"""Every resource by the key that assets ask for, made from the settings."""

from shelf_assets.defs.io_managers.delta import DeltaIOManager
from shelf_assets.defs.io_managers.tensors import TensorIOManager
from shelf_assets.defs.resources.dbt import build_dbt_resource
from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.observe.tracking import TrackingResource
from shelf_assets.pipeline.models import ModelsResource
from shelf_assets.settings import Settings


def build_resources(settings: Settings) -> dict[str, object]:
    """Resources for `Definitions`; tests override some by key."""
    lake = LakeResource(url=settings.lake.url)
    return {
        "lake": lake,
        "delta_io": DeltaIOManager(lake=lake),
        "tensor_io": TensorIOManager(lake=lake),
        "models": ModelsResource(
            models=settings.models.set, classifier=settings.models.classifier, embedder=settings.models.embedder
        ),
        "tracking": TrackingResource(),
        "dbt": build_dbt_resource(settings),
    }
