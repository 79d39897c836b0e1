"""The settings: the only reader of the environment. One typed, described object; every default says why it is what it is."""

from __future__ import annotations

import difflib
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shelf_assets.intake.settings import IntakeSettings
from shelf_assets.machine import cores

PREFIX = "SHELF_"
_URL_PASSWORD = re.compile(r"://[^@\s]+@")


class SettingsError(ValueError):
    """A setting is wrong; the message names it and what it may be."""


class Settings(IntakeSettings, BaseSettings):
    """Every knob of shelf_assets. Each is read from the environment variable SHELF_<NAME>; the door's are in `intake.settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    home: Path = Field(
        Path(".shelf"),
        description="Folder of this machine's own state: Dagster's and MLflow's databases, marts, caches.",
    )
    lake: str = Field(
        "",
        description="Where photos and tables rest: file:///folder or s3://bucket/prefix. Default: <home>/lake.",
    )
    marts: Path | None = Field(None, description="DuckDB file of the marts. Default: <home>/marts.duckdb.")

    models: Literal["auto", "production", "embedded"] = Field(
        "auto",
        description="Which set of models runs. auto: production where its weights can be had, else embedded, with a warning.",
    )
    classifier: str = Field(
        "resnet50.a1_in1k", description="Production classifier: any timm model name, with its pretrained tag."
    )
    embedder: str = Field(
        "ViT-B-32/laion2b_s34b_b79k", description="Production embedder: open_clip ARCHITECTURE/PRETRAINED."
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        description="What runs the models. auto: torch on GPUs and clusters, OpenVINO on CPUs where it is installed.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        "auto",
        description="auto: bf16 where the hardware has it, else fp32. fp16: GPUs. int8: OpenVINO, after `shelf calibrate`.",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    batch_size: int = Field(
        0,
        ge=0,
        le=4096,
        description="Photos in one forward pass; 0: 16 on CPUs, what memory and speed suggest on GPUs.",
    )
    torch_compile: bool = Field(
        False,
        description="Hand models to torch.compile: minutes at the first batch of every process, some speed after it.",
    )
    parity_cosine: float = Field(
        0.995,
        ge=0,
        le=1,
        description="Least mean cosine between a backend's outputs and float32's; below it is refused.",
    )
    parity_cosine_labelled: float = Field(
        0.98, ge=0, le=1, description="The same where accuracy on labelled photos is known, which then decides."
    )
    parity_top1: float = Field(
        0.85, ge=0, le=1, description="Least share of photos on which a backend names float32's best label."
    )
    parity_accuracy_points: float = Field(
        0.5, ge=0, le=100, description="Most points of accuracy on labelled photos that int8 may lose."
    )
    top_k: int = Field(5, ge=1, le=100, description="Labels kept for each photo.")
    fit: Literal["crop", "pad", "squash"] | None = Field(
        None, description="How a photo that is not square is cut. Default: as measured, docs/decisions/002."
    )

    decode_failure_limit: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of a day's accepted photos that may fail to become tensors before the day fails.",
    )

    in_flight_objects: int = Field(
        64,
        ge=1,
        le=1024,
        description="Objects read at once. Rate × latency: 64 keep S3's 30 ms busy at 2,000/s.",
    )
    in_flight_bytes: int = Field(
        256_000_000, ge=1_000_000, description="Bytes of photos held at once, read but not yet judged."
    )
    decode_threads: int = Field(
        0, ge=0, le=256, description="Decodes at once; 0: one a core. Decoders release the GIL."
    )
    decoder: Literal["cpu", "gpu"] = Field(
        "cpu",
        description="gpu: nvJPEG where the models run, the CPU for what it refuses; its tensors have a digest of their own.",
    )
    tensors: Literal["stored", "redecode"] = Field(
        "stored",
        description="stored: tensors rest in shards for the next model. redecode: none rest, each run decodes (decision 008).",
    )
    shard_images: int = Field(
        1024,
        ge=1,
        description="Photos in one tensor shard (150 kB each); a killed run loses at most one shard's work.",
    )
    commit_images: int = Field(
        5_000,
        ge=1,
        description="Predictions held before they are committed; a killed run loses at most these.",
    )
    small_file_bytes: int = Field(
        32_000_000,
        ge=1_000,
        le=100_000_000,
        description="Upkeep packs a day that has two or more data files below this. 5,000 vectors are 11 MB; delta-rs cuts at 100.",
    )
    keep_files_days: int = Field(
        7,
        ge=1,
        le=7,
        description="Days that upkeep keeps a file after no newer version needs it; after 7 a checkpoint forgets since when.",
    )

    executor: Literal["in_process", "multiprocess", "k8s"] = Field(
        "multiprocess", description="Where a run's steps execute."
    )
    max_concurrent_steps: int = Field(2, ge=1, description="Steps at once with the multiprocess executor.")
    k8s_image: str | None = Field(None, description="Image of step pods; default: the image of the run pod.")

    nightly_hour_utc: int = Field(1, ge=0, le=23, description="Hour at which the schedule materializes yesterday.")
    arrivals_interval_seconds: int = Field(60, ge=5, description="How often the arrivals sensor looks.")
    arrivals_lookback_days: int = Field(
        35, ge=1, le=3660, description="Days whose prefixes the arrivals sensor watches for late photos."
    )

    low_confidence: float = Field(
        0.35, ge=0, le=1, description="Predictions below count as of low confidence in the marts."
    )
    eur_per_hour: dict[str, float] = Field(
        {"raw_images": 0.05, "image_tensors": 0.05, "classifications": 0.05, "clip_embeddings": 0.05},
        description="Price of one hour of each stage's machine, as JSON. 0.05: two shared cores on demand; a T4 pod is about 0.50.",
    )

    mlflow_tracking_uri: str = Field("", description="MLflow server or database; default: SQLite under <home>/mlflow.")
    s3_endpoint_url: str | None = Field(
        None, validation_alias="AWS_ENDPOINT_URL", description="Endpoint of an S3 server other than AWS."
    )
    s3_region: str = Field(
        "us-east-1",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the bucket; AWS_DEFAULT_REGION counts where AWS_REGION is not set.",
    )
    s3_access_key_id: str | None = Field(
        None, validation_alias="AWS_ACCESS_KEY_ID", description="Access key; none: the pod's role."
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, validation_alias="AWS_SECRET_ACCESS_KEY", description="Secret of the access key."
    )
    s3_session_token: SecretStr | None = Field(
        None, validation_alias="AWS_SESSION_TOKEN", description="Token of temporary keys."
    )
    on_cluster: bool = Field(
        False,
        description="Set by the chart. On a cluster models=auto is refused: nothing falls back in silence.",
    )

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator("lake")
    @classmethod
    def _known_scheme(cls, lake: str) -> str:
        parts = urlsplit(lake)
        if (
            lake
            and not (parts.scheme == "s3" and parts.netloc)
            and not (parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"))
        ):
            raise ValueError("must be file:///absolute/folder or s3://bucket/prefix")
        return lake.rstrip("/")

    @field_validator("eur_per_hour")
    @classmethod
    def _every_stage_has_a_price(cls, prices: dict[str, float]) -> dict[str, float]:
        stages = ("raw_images", "image_tensors", "classifications", "clip_embeddings")
        if set(prices) != set(stages) or min(prices.values()) < 0:
            raise ValueError(f"must give a price of 0 or more for each of {', '.join(stages)}")
        return prices

    @model_validator(mode="before")
    @classmethod
    def _cluster_by_executor(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("executor") == "k8s":
            values.setdefault("on_cluster", True)
        return values

    @model_validator(mode="after")
    def _nothing_falls_back_on_a_cluster(self) -> Settings:
        if self.on_cluster and self.models == "auto":
            raise ValueError("models=auto is refused on a cluster: set SHELF_MODELS to production or embedded")
        if self.on_cluster and not self.on_s3:
            raise ValueError("a folder is lost with its pod: on a cluster set SHELF_LAKE to s3://bucket/prefix")
        return self

    @cached_property
    def lake_url(self) -> str:
        return self.lake or (self.home / "lake").as_uri()

    @property
    def on_s3(self) -> bool:
        return self.lake_url.startswith("s3://")

    @property
    def lake_folder(self) -> Path:
        """The lake's folder; only for a lake on disk."""
        return Path(unquote(urlsplit(self.lake_url).path))

    @property
    def mlflow_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def marts_path(self) -> Path:
        return self.marts or self.home / "marts.duckdb"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def tensors_ahead(self) -> bool:
        """Whether tensors are made before anybody infers: by the stages on CPUs, and kept."""
        return self.tensors == "stored" and self.decoder == "cpu"

    @property
    def decode_slots(self) -> int:
        return self.decode_threads or cores()

    def masked(self) -> dict[str, str]:
        """Every setting by its variable's name as it takes effect, secrets masked, for people to read."""
        effective = {"lake": self.lake_url, "marts": self.marts_path, "mlflow_tracking_uri": self.mlflow_uri}
        shown = self.model_dump() | effective
        return {variable(name): "" if value is None else without_password(str(value)) for name, value in shown.items()}


def without_password(text: str) -> str:
    """The text with user and password of every URL in it masked."""
    return _URL_PASSWORD.sub("://**********@", text)


def variable(name: str) -> str:
    """Environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return cast(str, alias) if alias else f"{PREFIX}{name.upper()}"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; a wrong or misspelt one stops here, by name and with the allowed values."""
    known = {variable(name) for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known and not name.startswith("SHELF_TEST_"):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            raise SettingsError(
                f"unknown setting {name}" + (f"; did you mean {near[0]}?" if near else "; see `shelf config`")
            )
    try:
        return Settings(**overrides)
    except ValidationError as invalid:
        raise SettingsError("\n".join(_explain(error) for error in invalid.errors())) from None


def _explain(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    message = error["msg"].removeprefix("Value error, ")
    if not name:
        return message
    label = variable(name) if name in Settings.model_fields else name
    shown = "" if any(word in label for word in ("SECRET", "TOKEN", "HASH_KEY")) else f" = {error['input']!r}"
    return f"{label}{shown}: {message}"
