"""The model catalogue: which two models run here, and where each comes from. Looks at files and the hub,
never at tensors.

Loading is in `classifier` and `embedder`. This module and all that it imports work without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shelf_assets.models import hub
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.errors import ModelError, SilentFallbackRefused, WeightsUnavailable
from shelf_assets.models.precision import (
    AskedBackend,
    AskedPrecision,
    Precision,
    require_together,
    resolve_backend,
    resolve_precision,
)
from shelf_assets.models.record import DigestRecord
from shelf_assets.models.registry import Facts
from shelf_assets.models.spec import ModelSpec, TaskName, WeightsFile
from shelf_assets.vision.digests import file_digest

ModelSet = Literal["production", "embedded", "auto"]

PRODUCTION_CLASSIFIER = "resnet50.a1_in1k"
PRODUCTION_EMBEDDER = "ViT-B-32/laion2b_s34b_b79k"
RANDOM = "@random"
_RANDOM_SEED = 0


@dataclass(frozen=True)
class ResolvedModels:
    """The two models that run. `warning` is a sentence for every surface: log, metadata, summary."""

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
    precision: AskedPrecision = "auto",
    backend: AskedBackend = "auto",
    device: str = "auto",
    digest_record: Path | None = None,
) -> ResolvedModels:
    """Decide which models run, in which precision and on which backend.

    `production` runs the two names, from the hub's cache (`cache_dir`, default the hub's own) or from the
    hub. `embedded` runs the packaged models and ignores the names. `auto` is production where both models can
    be had, else embedded with a warning; on a cluster it is refused. A name is timm's (`resnet50.a1_in1k`),
    or open_clip's ARCHITECTURE/PRETRAINED; with `@random` behind it the architecture gets seeded random
    weights, for timing and tests. `digest_record` is a JSON file that pins each hub model's sha256 on first
    use.

    Raises UnknownModel, WeightsUnavailable, SilentFallbackRefused, ModelDigestMismatch, and ModelError for a backend or a
    precision that cannot run here.
    """
    if model_set == "auto" and on_cluster:
        raise SilentFallbackRefused(
            "models=auto is refused on a cluster, where nothing falls back in silence: choose production or embedded."
        )
    chosen = resolve_precision(precision, device=device, on_cluster=on_cluster)
    computes = resolve_backend(backend, device=device, on_cluster=on_cluster)
    require_together(computes, chosen, device)
    found = _resolve(model_set, (classifier_name, embedder_name), cache_dir, require_offline, chosen, digest_record)
    return replace(
        found,
        classifier=replace(found.classifier, backend=computes),
        embedder=replace(found.embedder, backend=computes),
    )


def _resolve(
    model_set: ModelSet,
    names: tuple[str, str],
    cache_dir: Path | None,
    require_offline: bool,
    chosen: Precision,
    digest_record: Path | None,
) -> ResolvedModels:
    if model_set == "embedded":
        return _embedded(chosen, None)
    online = not (require_offline or hub.offline())
    # The defaults exist, so where nothing can be had the registries, and with them torch, need not be asked.
    if (
        model_set == "auto"
        and names == (PRODUCTION_CLASSIFIER, PRODUCTION_EMBEDDER)
        and _nothing_to_be_had(cache_dir, online)
    ):
        return _embedded(chosen, _fell_back(names, "none of their weights are cached"))
    record = DigestRecord(digest_record)
    try:
        classifier = _named("classifier", names[0], chosen, cache_dir, online, record)
        embedder = _named("embedder", names[1], chosen, cache_dir, online, record)
    except WeightsUnavailable as unavailable:
        if model_set == "production":
            raise
        return _embedded(chosen, _fell_back(names, str(unavailable)))
    random = [spec.model_id for spec in (classifier, embedder) if spec.source == "random"]
    warning = f"{' and '.join(random)}: weights are random, so what is predicted means nothing." if random else None
    return ResolvedModels(classifier, embedder, "production", warning)


def _embedded(precision: Precision, warning: str | None) -> ResolvedModels:
    return ResolvedModels(
        embedded_spec("classifier", precision), embedded_spec("embedder", precision), "embedded", warning
    )


def _fell_back(names: tuple[str, str], why: str) -> str:
    return (
        f"The small embedded models run instead of {names[0]} and {names[1]}, and their labels and search are weaker: "
        f"{why.rstrip('.')}, and models=auto allows it."
    )


def _nothing_to_be_had(cache_dir: Path | None, online: bool) -> bool:
    return not hub.holds_anything(cache_dir) and not (online and hub.answers())


def _named(
    task: TaskName, name: str, precision: Precision, cache_dir: Path | None, online: bool, record: DigestRecord
) -> ModelSpec:
    if name.endswith(RANDOM):
        facts = record.facts(task, name.removesuffix(RANDOM))
        return _spec(task, facts, precision, "random", ())
    facts = record.facts(task, name)
    if not facts.repo:
        raise ModelError(
            f"{name} has no weights on the hub that can be checked; choose another name, or {name}{RANDOM} for timing."
        )
    file = _weights(facts, cache_dir, online)
    record.check(facts.name, file.filename, file.sha256)
    return _spec(task, facts, precision, "hub", (file,))


def _weights(facts: Facts, cache_dir: Path | None, online: bool) -> WeightsFile:
    path = hub.cached_file(facts.repo, facts.filenames, cache_dir)
    if path is not None:
        return WeightsFile("weights", path.name, file_digest(path), path, facts.repo)
    if not online:
        raise WeightsUnavailable(
            f"the weights of {facts.name} ({facts.repo}) are not in the hub's cache, and the hub is switched off. "
            "Fetch them where there is a network, or choose the embedded models."
        )
    said = hub.ask(facts.repo, facts.filenames)
    if said is None:
        raise WeightsUnavailable(
            f"the weights of {facts.name} ({facts.repo}) are not in the hub's cache, and the hub does not give them. "
            "Fetch them where there is a network, or choose the embedded models."
        )
    if said.sha256 is None:
        path = hub.fetch(said.repo, said.filename, said.revision, cache_dir)
        return WeightsFile("weights", said.filename, file_digest(path), path, said.repo, said.revision)
    return WeightsFile("weights", said.filename, said.sha256, None, said.repo, said.revision, cache_dir)


def _spec(
    task: TaskName,
    facts: Facts,
    precision: Precision,
    source: Literal["hub", "random"],
    files: tuple[WeightsFile, ...],
) -> ModelSpec:
    return ModelSpec(
        task=task,
        model_id=facts.name + (RANDOM if source == "random" else ""),
        architecture=facts.architecture,
        pretrained="" if source == "random" else facts.pretrained,
        source=source,
        files=files,
        precision=precision,
        mean=facts.mean,
        std=facts.std,
        interpolation=facts.interpolation,
        image_size_px=facts.image_size_px,
        random_seed=_RANDOM_SEED if source == "random" else None,
    )
