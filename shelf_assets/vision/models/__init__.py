"""The models of the vision room: chosen by name, pinned by digest, loaded without running code. Importing
this is light.

    resolved = resolve_models("auto", on_cluster=False)
    classifier = load_classifier(resolved.classifier)
    embedder = load_embedder(resolved.embedder)

torch is imported when a model is loaded, not before.
"""

from shelf_assets.vision.models.catalogue import (
    PRODUCTION_CLASSIFIER,
    PRODUCTION_EMBEDDER,
    ModelSet,
    ResolvedModels,
    resolve_models,
)
from shelf_assets.vision.models.classifier import Classifier, ClassifierOutput, load_classifier
from shelf_assets.vision.models.embedder import Embedder, load_embedder
from shelf_assets.vision.models.errors import (
    ModelDigestMismatch,
    ModelError,
    SilentFallbackRefused,
    UnknownModel,
    UnsafeWeights,
    WeightsUnavailable,
)
from shelf_assets.vision.models.spec import ModelSpec, WeightsFile

__all__ = [
    "PRODUCTION_CLASSIFIER",
    "PRODUCTION_EMBEDDER",
    "Classifier",
    "ClassifierOutput",
    "Embedder",
    "ModelDigestMismatch",
    "ModelError",
    "ModelSet",
    "ModelSpec",
    "ResolvedModels",
    "SilentFallbackRefused",
    "UnknownModel",
    "UnsafeWeights",
    "WeightsFile",
    "WeightsUnavailable",
    "load_classifier",
    "load_embedder",
    "resolve_models",
]
