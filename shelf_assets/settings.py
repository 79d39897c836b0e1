"""All settings: the groups of the rooms, composed. Only this module reads the environment, once per process.

A setting `field` of the group `group` is the variable SHELF_<GROUP>_<FIELD>; access to S3 has AWS's own names. Rooms get
their group, or values of it, as plain objects: nothing below imports this module.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from shelf_assets.bi.settings import BiSettings
from shelf_assets.defs.settings import DagsterSettings
from shelf_assets.http.settings import HttpSettings
from shelf_assets.intake.settings import IntakeSettings
from shelf_assets.lake.settings import LakeSettings
from shelf_assets.models.settings import ModelSettings
from shelf_assets.observe.settings import TrackingSettings
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.pipeline.settings import PipelineSettings
from shelf_assets.urls import without_password
from shelf_assets.vision.settings import VisionSettings

PREFIX = "SHELF_"


# Libraries read these when they are imported, so they are set when a process reads its settings, which it does first.
# Retries: seven with growing pauses, MLflow's default, would hold a GPU for minutes while a server is down.
_QUIET_LIBRARIES = {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


class SettingsError(ValueError):
    """A setting is wrong; the message names it and its allowed values."""


class Settings(BaseModel):
    """Every setting of shelf_assets, in groups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(
        Path(".shelf"),
        validate_default=True,
        description="Folder of this machine's own state: Dagster's and MLflow's databases, marts, caches.",
    )
    on_cluster: bool = Field(
        False,
        description="Set by the chart. On a cluster models.set=auto is refused: nothing falls back in silence.",
    )
    lake: LakeSettings = LakeSettings()
    photos: PhotoSettings = PhotoSettings()
    vision: VisionSettings = VisionSettings()
    models: ModelSettings = ModelSettings()
    pipeline: PipelineSettings = PipelineSettings()
    bi: BiSettings = BiSettings()
    tracking: TrackingSettings = TrackingSettings()
    http: HttpSettings = HttpSettings()
    intake: IntakeSettings = IntakeSettings()
    dagster: DagsterSettings = DagsterSettings()

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @model_validator(mode="after")
    def _derived_defaults(self) -> Self:
        if not self.lake.url:
            self._derive("lake", url=(self.home / "lake").as_uri())
        if self.bi.marts_path == Path():
            self._derive("bi", marts_path=self.home / "marts.duckdb")
        if not self.tracking.uri:
            self._derive("tracking", uri=f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}")
        if self.dagster.home == Path():
            self._derive("dagster", home=self.home / "dagster")
        if self.dagster.executor == "k8s" and "on_cluster" not in self.model_fields_set:
            self.__dict__["on_cluster"] = True
        return self

    @model_validator(mode="after")
    def _nothing_falls_back_on_a_cluster(self) -> Self:
        if self.on_cluster and self.models.set == "auto":
            raise ValueError("models.set=auto is refused on a cluster: set SHELF_MODELS_SET to production or embedded")
        if self.on_cluster and not self.lake.on_s3:
            raise ValueError("a folder is lost with its pod: on a cluster set SHELF_LAKE_URL to s3://bucket/prefix")
        return self

    def _derive(self, group: str, **values: Any) -> None:
        """Fill in defaults that follow from other settings. They do not count as given, so that `replace` derives them anew."""
        derived = getattr(self, group).model_copy(update=values)
        derived.model_fields_set.difference_update(values)
        self.__dict__[group] = derived

    def replace(self, **values: Any) -> Settings:
        """A copy with some values changed, named as in `load_settings`, and validated like the rest."""
        return _validated(_merged(self.model_dump(exclude_unset=True), _nested(values)))

    def environment(self) -> dict[str, str]:
        """The variables from which another process reads these settings; secrets in plain text."""
        values = ((each, each.value_in(self)) for each in leaves())
        return {leaf.variable: _text(value) for leaf, value in values if value is not None}

    def child_environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """`environ` for a process that reads these settings, and no variable of a setting beside them."""
        variables = {name for leaf in leaves() for name in leaf.variables}
        return {name: value for name, value in environ.items() if name not in variables} | self.environment()

    def masked(self) -> dict[str, str]:
        """Every setting by its variable's name as it takes effect, secrets masked, for people to read."""
        shown = ((each.variable, each.value_in(self)) for each in leaves())
        return {name: "" if value is None else without_password(str(value)) for name, value in shown}


class Leaf(NamedTuple):
    """One setting: its path through the groups, and its field."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def variables(self) -> list[str]:
        """Names of its environment variable; the first that is set counts."""
        extra = self.field.json_schema_extra
        own = extra.get("variables") if isinstance(extra, dict) else None
        return [str(name) for name in own] if isinstance(own, list) else [PREFIX + "_".join(self.path).upper()]

    @property
    def variable(self) -> str:
        return self.variables[0]

    def value_in(self, settings: Settings) -> Any:
        value: Any = settings
        for name in self.path:
            value = getattr(value, name)
        return value

    def parsed(self, text: str) -> Any:
        """The value of a variable's text: JSON for lists and tables, else the text itself, which pydantic converts."""
        if get_origin(self.field.annotation) not in (dict, list, tuple):
            return text
        try:
            return json.loads(text)
        except ValueError:
            return text


def leaves(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every setting, group by group."""
    for name, field in model.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from leaves(group, (*above, name))
        else:
            yield Leaf((*above, name), field)


def load_settings(environ: Mapping[str, str] = os.environ, /, **values: Any) -> Settings:
    """Read the settings from the environment; `group__field=value` overrules it.

    Raises SettingsError that names the setting and its allowed values, for wrong, unknown and former names.
    """
    _refuse_unknown_variables(environ)
    if environ is os.environ:
        for name, value in _QUIET_LIBRARIES.items():
            os.environ.setdefault(name, value)
    return _validated(_merged(_read(environ), _nested(values)))


def _read(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for leaf in leaves():
        name = next((each for each in leaf.variables if each in environ), None)
        if name is not None:
            found["__".join(leaf.path)] = leaf.parsed(environ[name])
    return _nested(found)


def _validated(values: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as invalid:
        raise SettingsError("\n".join(_explain(error) for error in invalid.errors())) from None


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {name for leaf in leaves() for name in leaf.variables}
    for name in environ:
        if name.startswith(PREFIX) and name not in known and not name.startswith("SHELF_TEST_"):
            if new := FORMER_NAMES.get(name):
                raise SettingsError(f"{name} is now {new}")
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            raise SettingsError(
                f"unknown setting {name}" + (f"; did you mean {near[0]}?" if near else "; see `shelf config`")
            )


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"lake": {"url": …}} of {"lake__url": …}; a group given whole is one of its values that were given."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *groups, field = name.split("__")
        inside = nested
        for group in groups:
            inside = inside.setdefault(group, {})
        inside[field] = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
    return nested


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        inside = merged.get(name)
        merged[name] = _merged(inside, value) if isinstance(inside, Mapping) and isinstance(value, Mapping) else value
    return merged


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, dict | list | tuple) else str(value)


def _explain(error: Any) -> str:
    path = tuple(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    leaf = next((each for each in leaves() if path[: len(each.path)] == each.path), None)
    if leaf is None:
        return f"there is no setting {'__'.join(path)}" if error["type"] == "extra_forbidden" else message
    is_secret = "SecretStr" in str(leaf.field.annotation)
    shown = "" if is_secret else f" = {error['input']!r}"
    return f"{leaf.variable}{shown}: {message}"


# Nothing has been released: a former name stops at start, and says the new one.
FORMER_NAMES = {
    "SHELF_LAKE": "SHELF_LAKE_URL",
    "SHELF_SMALL_FILE_BYTES": "SHELF_LAKE_SMALL_FILE_BYTES",
    "SHELF_KEEP_FILES_DAYS": "SHELF_LAKE_KEEP_FILES_DAYS",
    "SHELF_MARTS": "SHELF_BI_MARTS_PATH",
    "SHELF_LOW_CONFIDENCE": "SHELF_BI_LOW_CONFIDENCE",
    "SHELF_MODELS": "SHELF_MODELS_SET",
    "SHELF_CLASSIFIER": "SHELF_MODELS_CLASSIFIER",
    "SHELF_EMBEDDER": "SHELF_MODELS_EMBEDDER",
    "SHELF_BACKEND": "SHELF_MODELS_BACKEND",
    "SHELF_PRECISION": "SHELF_MODELS_PRECISION",
    "SHELF_DEVICE": "SHELF_MODELS_DEVICE",
    "SHELF_BATCH_SIZE": "SHELF_MODELS_BATCH_SIZE",
    "SHELF_TORCH_COMPILE": "SHELF_MODELS_TORCH_COMPILE",
    "SHELF_PARITY_COSINE": "SHELF_MODELS_PARITY_COSINE",
    "SHELF_PARITY_COSINE_LABELLED": "SHELF_MODELS_PARITY_COSINE_LABELLED",
    "SHELF_PARITY_TOP1": "SHELF_MODELS_PARITY_TOP1",
    "SHELF_PARITY_ACCURACY_POINTS": "SHELF_MODELS_PARITY_ACCURACY_POINTS",
    "SHELF_TOP_K": "SHELF_MODELS_TOP_K",
    "SHELF_FIT": "SHELF_VISION_FIT",
    "SHELF_DECODER": "SHELF_VISION_DECODER",
    "SHELF_DECODE_THREADS": "SHELF_VISION_DECODE_THREADS",
    "SHELF_IN_FLIGHT_OBJECTS": "SHELF_VISION_IN_FLIGHT_OBJECTS",
    "SHELF_IN_FLIGHT_BYTES": "SHELF_VISION_IN_FLIGHT_BYTES",
    "SHELF_TENSORS": "SHELF_VISION_TENSORS",
    "SHELF_SHARD_IMAGES": "SHELF_VISION_SHARD_IMAGES",
    "SHELF_DECODE_FAILURE_LIMIT": "SHELF_PIPELINE_DECODE_FAILURE_LIMIT",
    "SHELF_COMMIT_IMAGES": "SHELF_PIPELINE_COMMIT_IMAGES",
    "SHELF_EUR_PER_HOUR": "SHELF_PIPELINE_EUR_PER_HOUR",
    "SHELF_EXECUTOR": "SHELF_DAGSTER_EXECUTOR",
    "SHELF_MAX_CONCURRENT_STEPS": "SHELF_DAGSTER_MAX_CONCURRENT_STEPS",
    "SHELF_K8S_IMAGE": "SHELF_DAGSTER_K8S_IMAGE",
    "SHELF_NIGHTLY_HOUR_UTC": "SHELF_DAGSTER_NIGHTLY_HOUR_UTC",
    "SHELF_ARRIVALS_INTERVAL_SECONDS": "SHELF_DAGSTER_ARRIVALS_INTERVAL_SECONDS",
    "SHELF_ARRIVALS_LOOKBACK_DAYS": "SHELF_DAGSTER_ARRIVALS_LOOKBACK_DAYS",
    "SHELF_MLFLOW_TRACKING_URI": "SHELF_TRACKING_URI",
    "SHELF_MAX_PHOTO_BYTES": "SHELF_PHOTOS_MAX_BYTES",
    "SHELF_MAX_PHOTO_PIXELS": "SHELF_PHOTOS_MAX_PIXELS",
    "SHELF_MAX_PHOTO_SIDE_PX": "SHELF_PHOTOS_MAX_SIDE_PX",
    "SHELF_MIN_PHOTO_SIDE_PX": "SHELF_PHOTOS_MIN_SIDE_PX",
    "SHELF_MAX_PHOTO_ASPECT": "SHELF_PHOTOS_MAX_ASPECT",
    "SHELF_MAX_PHOTO_FRAMES": "SHELF_PHOTOS_MAX_FRAMES",
    "SHELF_PHOTO_FORMATS": "SHELF_PHOTOS_FORMATS",
    "SHELF_MAX_ADULT_SCORE": "SHELF_PHOTOS_MAX_ADULT_SCORE",
    "SHELF_NEAR_DUPLICATES": "SHELF_PHOTOS_NEAR_DUPLICATES",
    "SHELF_NEAR_DUPLICATE_BITS": "SHELF_PHOTOS_NEAR_DUPLICATE_BITS",
    "SHELF_NEAR_DUPLICATE_DAYS": "SHELF_PHOTOS_NEAR_DUPLICATE_DAYS",
    "SHELF_JPEG_QUALITY": "SHELF_PHOTOS_JPEG_QUALITY",
    "SHELF_DECODE_SECONDS": "SHELF_PHOTOS_DECODE_SECONDS",
    "SHELF_DECODE_MEMORY_BYTES": "SHELF_PHOTOS_DECODE_MEMORY_BYTES",
    "SHELF_DECODERS": "SHELF_PHOTOS_DECODERS",
    "SHELF_UPLOADS_IN_FLIGHT": "SHELF_INTAKE_UPLOADS_IN_FLIGHT",
    "SHELF_OWNER_HASH_KEY": "SHELF_INTAKE_OWNER_HASH_KEY",
    "SHELF_UPLOAD_SECONDS": "SHELF_INTAKE_FORM_SECONDS",
    "SHELF_UPLOAD_ENDPOINT_URL": "SHELF_INTAKE_FORM_ENDPOINT_URL",
    "SHELF_JUDGE_INCOMING_SECONDS": "SHELF_INTAKE_VALIDATE_INCOMING_SECONDS",
    "SHELF_BODY_SECONDS": "SHELF_HTTP_BODY_SECONDS",
    "SHELF_SILENCE_SECONDS": "SHELF_HTTP_SILENCE_SECONDS",
    "SHELF_DRAIN_SECONDS": "SHELF_HTTP_DRAIN_SECONDS",
    "SHELF_KEY_REQUESTS": "SHELF_HTTP_KEY_REQUESTS",
    "SHELF_KEY_BYTES": "SHELF_HTTP_KEY_BYTES",
    "SHELF_KEY_PIXELS": "SHELF_HTTP_KEY_PIXELS",
    "SHELF_ADDRESS_REQUESTS": "SHELF_HTTP_ADDRESS_REQUESTS",
    "SHELF_ADDRESS_BYTES": "SHELF_HTTP_ADDRESS_BYTES",
    "SHELF_ADDRESS_PIXELS": "SHELF_HTTP_ADDRESS_PIXELS",
    "SHELF_REDIS_URL": "SHELF_HTTP_REDIS_URL",
    "SHELF_TRUSTED_PROXIES": "SHELF_HTTP_TRUSTED_PROXIES",
}
