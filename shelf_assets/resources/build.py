"""Every resource by the key that assets ask for, made from the settings."""

from shelf_assets.resources.dbt import build_dbt_resource
from shelf_assets.resources.delta_io import DeltaIOManager
from shelf_assets.resources.lake import LakeResource
from shelf_assets.resources.models import ModelsResource
from shelf_assets.resources.tensor_io import TensorIOManager
from shelf_assets.resources.tracking import TrackingResource
from shelf_assets.settings import Settings


def build_resources(settings: Settings) -> dict[str, object]:
    """Resources for `Definitions`; tests override some by key."""
    lake = LakeResource(url=settings.lake_url)
    return {
        "lake": lake,
        "delta_io": DeltaIOManager(lake=lake),
        "tensor_io": TensorIOManager(lake=lake),
        "models": ModelsResource(models=settings.models, classifier=settings.classifier, embedder=settings.embedder),
        "tracking": TrackingResource(),
        "dbt": build_dbt_resource(settings),
    }
