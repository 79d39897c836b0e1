"""The model catalogue: decide which two models run, and where their files come from, without loading tensors.

`classifier` and `embedder` load models. This module and its imports work without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shelf_assets.extras import require_extras
from shelf_assets.models import hub
from shelf_assets.models.defaults import PRODUCTION_CLASSIFIER, PRODUCTION_EMBEDDER
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.errors import ModelError, SilentFallbackRefused, WeightsUnavailable
from shelf_assets.models.precision import (
    Precision,
    RequestedBackend,
    RequestedPrecision,
    require_together,
    resolve_backend,
    resolve_precision,
)
from shelf_assets.models.record import DigestRecord
from shelf_assets.models.registry import RegisteredModel
from shelf_assets.models.spec import ModelSpec, TaskName, WeightsFile
from shelf_assets.vision.digests import file_digest

ModelSet = Literal["production", "embedded", "auto"]

RANDOM = "@random"
_RANDOM_SEED = 0


@dataclass(frozen=True)
class ResolvedModels:
    """The two models that run. `warning` is shown in the log, in metadata and in summaries."""

    classifier: ModelSpec
    embedder: ModelSpec
    ran: Literal["production", "embedded"]
    warning: str | None


def resolve_models(
    model_set: ModelSet,
    classifier_name: str = PRODUCTION_CLASSIFIER,
    embedder_name: str = PRODUCTION_EMBEDDER,
    *,
    cache_dir: Path | None = None,
    on_cluster: bool,
    require_offline: bool = False,
    precision: RequestedPrecision = "auto",
    backend: RequestedBackend = "auto",
    device: str = "auto",
    digest_record: Path | None = None,
) -> ResolvedModels:
    """Decide which models run, in which precision and on which backend.

    `production` runs the two named models, from the hub's cache (`cache_dir`, default the hub's own) or from the hub.
    `embedded` runs the packaged models and ignores the names. `auto` is production if both models are available, else
    embedded with a warning; it is refused on a cluster. A name is timm's (`resnet50.a1_in1k`), or open_clip's
    ARCHITECTURE/PRETRAINED; the suffix `@random` gives the architecture seeded random weights, for timing and tests.
    `digest_record` is a JSON file that pins each hub model's sha256 on first use.

    Raises MissingExtra, UnknownModel, WeightsUnavailable, SilentFallbackRefused, ModelDigestMismatch, and ModelError for a
    backend or a precision that cannot run here.
    """
    if model_set == "auto" and on_cluster:
        raise SilentFallbackRefused(
            "SHELF_MODELS_SET=auto is refused on a cluster, where no model may be replaced silently: choose production or embedded."
        )
    require_extras("running models", "models")
    resolved_precision = resolve_precision(precision, device=device, on_cluster=on_cluster)
    resolved_backend = resolve_backend(backend, device=device, on_cluster=on_cluster)
    require_together(resolved_backend, resolved_precision, device)
    names = (classifier_name, embedder_name)
    models = _resolve(model_set, names, cache_dir, require_offline, resolved_precision, digest_record)
    return replace(
        models,
        classifier=replace(models.classifier, backend=resolved_backend),
        embedder=replace(models.embedder, backend=resolved_backend),
    )


def _resolve(
    model_set: ModelSet,
    names: tuple[str, str],
    cache_dir: Path | None,
    require_offline: bool,
    precision: Precision,
    digest_record: Path | None,
) -> ResolvedModels:
    if model_set == "embedded":
        return _embedded(precision, None)
    online = not (require_offline or hub.is_offline())
    # The default names are known to exist. If no weights are available, the registries, and with them torch, are not needed.
    if (
        model_set == "auto"
        and names == (PRODUCTION_CLASSIFIER, PRODUCTION_EMBEDDER)
        and not hub.has_cached_models(cache_dir)
        and not (online and hub.is_reachable())
    ):
        return _embedded(precision, _fallback_warning(names, "none of their weights are cached"))
    record = DigestRecord(digest_record)
    try:
        classifier = _named("classifier", names[0], precision, cache_dir, online, record)
        embedder = _named("embedder", names[1], precision, cache_dir, online, record)
    except WeightsUnavailable as unavailable:
        if model_set == "production":
            raise
        return _embedded(precision, _fallback_warning(names, str(unavailable)))
    random = [spec.model_id for spec in (classifier, embedder) if spec.source == "random"]
    warning = f"{' and '.join(random)}: weights are random, so predictions are meaningless." if random else None
    return ResolvedModels(classifier, embedder, "production", warning)


def _embedded(precision: Precision, warning: str | None) -> ResolvedModels:
    return ResolvedModels(
        embedded_spec("classifier", precision), embedded_spec("embedder", precision), "embedded", warning
    )


def _fallback_warning(names: tuple[str, str], reason: str) -> str:
    return (
        f"The small embedded models run instead of {names[0]} and {names[1]}, and their labels and search are weaker: "
        f"{reason.rstrip('.')}, and SHELF_MODELS_SET=auto allows it."
    )


def _named(
    task: TaskName, name: str, precision: Precision, cache_dir: Path | None, online: bool, record: DigestRecord
) -> ModelSpec:
    if name.endswith(RANDOM):
        return _spec(task, record.registered(task, name.removesuffix(RANDOM)), precision, "random", ())
    model = record.registered(task, name)
    if not model.repo:
        raise ModelError(
            f"{name} has no weights on the hub that can be checked; choose another name, or {name}{RANDOM} for timing."
        )
    file = _weights(model, cache_dir, online)
    record.check(model.name, file.filename, file.sha256)
    return _spec(task, model, precision, "hub", (file,))


def _weights(model: RegisteredModel, cache_dir: Path | None, online: bool) -> WeightsFile:
    path = hub.cached_file(model.repo, model.filenames, cache_dir)
    if path is not None:
        return WeightsFile("weights", path.name, file_digest(path), path, model.repo)
    if not online:
        raise WeightsUnavailable(
            f"the weights of {model.name} ({model.repo}) are not in the hub's cache, and the hub is switched off. "
            "Fetch them on a machine with a network, or choose the embedded models."
        )
    file = hub.find_file(model.repo, model.filenames)
    if file is None:
        raise WeightsUnavailable(
            f"the weights of {model.name} ({model.repo}) are not in the hub's cache, and the hub does not provide them. "
            "Fetch them on a machine with a network, or choose the embedded models."
        )
    if file.sha256 is None:
        path = hub.fetch(file.repo, file.filename, file.revision, cache_dir)
        return WeightsFile("weights", file.filename, file_digest(path), path, file.repo, file.revision)
    return WeightsFile("weights", file.filename, file.sha256, None, file.repo, file.revision, cache_dir)


def _spec(
    task: TaskName,
    model: RegisteredModel,
    precision: Precision,
    source: Literal["hub", "random"],
    files: tuple[WeightsFile, ...],
) -> ModelSpec:
    return ModelSpec(
        task=task,
        model_id=model.name + (RANDOM if source == "random" else ""),
        architecture=model.architecture,
        pretrained="" if source == "random" else model.pretrained,
        source=source,
        files=files,
        precision=precision,
        mean=model.mean,
        std=model.std,
        interpolation=model.interpolation,
        image_size_px=model.image_size_px,
        random_seed=_RANDOM_SEED if source == "random" else None,
    )
