"""A value that is passed to `load_settings(…)` as an argument reaches the part that uses it, for every setting.

No environment variable is set here. Graph, upload API and servers are assembled from settings in which every value differs
from its default. A line for each setting says where its value must be found; a setting without a line fails.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fastapi import FastAPI

from shelf_assets.build import build_defs
from shelf_assets.defs.instance import ensure_instance, instance_config
from shelf_assets.http import server
from shelf_assets.http.rate_limits import RateLimits
from shelf_assets.intake import app
from shelf_assets.intake.presigned import PresignedUpload
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.schemas import Rule
from shelf_assets.photos.decoder_pool import SanitizerOptions, sanitizer_options
from shelf_assets.settings import Settings, leaves, load_settings


@dataclass(frozen=True)
class Assembled:
    """The parts that are built from one settings object, each on first use."""

    settings: Settings
    patched: pytest.MonkeyPatch

    @cached_property
    def defs(self) -> dg.Definitions:
        return build_defs(self.settings)

    @cached_property
    def repository(self) -> dg.RepositoryDefinition:
        return self.defs.get_repository_def()

    def resource(self, key: str) -> Any:
        assert self.defs.resources is not None
        return self.defs.resources[key]

    @property
    def near_duplicates(self) -> NearDuplicates:
        near: NearDuplicates = self.resource("lake").rules[Rule.MERGE_OBJECTS].keywords["near"]
        return near

    @property
    def dbt_variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = json.loads(self.resource("dbt").project.variables)
        return variables

    @property
    def executor_config(self) -> dict[str, Any]:
        assert isinstance(self.defs.executor, dg.ExecutorDefinition)
        schema: Any = self.defs.executor.config_schema
        config: dict[str, Any] = schema.resolve_config({}).value["config"]
        return config

    @property
    def most_photos_in_process(self) -> int:
        assert isinstance(self.defs.executor, dg.ExecutorDefinition)
        assert self.defs.executor.executor_creation_fn is not None
        most: int = inspect.getclosurevars(self.defs.executor.executor_creation_fn).nonlocals["most_photos"]
        return most

    @property
    def step_image(self) -> str:
        """The image of step pods, by the same settings with the executor for Kubernetes."""
        on_cluster = Assembled(self.settings.replace(dagster__executor="k8s", models__set="embedded"), self.patched)
        image: str = on_cluster.executor_config["job_image"]
        return image

    @cached_property
    def api(self) -> FastAPI:
        return app.build_app(self.settings)

    @property
    def rate_limits(self) -> RateLimits:
        limits: RateLimits = self.api.state.http.rate_limits
        return limits

    @property
    def sanitizer(self) -> SanitizerOptions:
        return sanitizer_options(self.settings.photos)

    @property
    def form(self) -> PresignedUpload:
        form: PresignedUpload = self.api.state.upload.presign("an-image", "an-owner", NOW)
        return form

    async def while_it_runs(self) -> tuple[int, int]:
        """The number of decoder processes of the running API, and how often it validates presigned uploads."""
        counted, intervals = [], []

        @contextmanager
        def pool(_: SanitizerOptions, count: int) -> Iterator[None]:
            counted.append(count)
            yield

        async def validate_every(seconds: int, *_: object) -> None:
            intervals.append(seconds)

        self.patched.setattr(app, "DecoderPool", pool)
        self.patched.setattr(app, "validate_incoming_every", validate_every)
        async with self.api.router.lifespan_context(self.api):
            await app.asyncio.sleep(0)
        return counted[0], intervals[0]

    @property
    def served(self) -> dict[str, Any]:
        """The arguments with which the server is started."""
        started: dict[str, Any] = {}
        self.patched.setattr(server, "log_in_json", lambda: None)
        self.patched.setattr(server, "start_trimming", lambda: None)
        self.patched.setattr(
            server.uvicorn.Server, "run", lambda serving, sockets: started.update(vars(serving.config))
        )
        with server.open_socket("127.0.0.1", 0) as listening:
            server.serve(self.api, self.settings.http, listening)
        return started


def model_setting(name: str, assembled: Assembled) -> object:
    return getattr(assembled.resource("predict").models.settings, name)


NOW = datetime(2026, 11, 26, tzinfo=UTC)
REDIS = "redis://127.0.0.1:1/7"

# Path of a setting -> a value that is not its default, and where it must be found.
EVERYWHERE: dict[str, tuple[object, Callable[[Assembled], object]]] = {
    "on_cluster": (True, lambda it: it.resource("models")._on_cluster),
    "lake__url": ("s3://elsewhere/photos", lambda it: it.resource("lake").url),
    "lake__small_file_bytes": (5_000, lambda it: it.resource("maintenance").small_file_bytes),
    "lake__keep_files_days": (3, lambda it: it.resource("maintenance").keep.days),
    "lake__s3__endpoint_url": ("http://127.0.0.1:9", lambda it: it.resource("lake").storage_options["endpoint"]),
    "lake__s3__region": ("eu-west-1", lambda it: instance_config(it.settings)["compute_logs"]["config"]["region"]),  # type: ignore[index]
    "lake__s3__access_key_id": ("a-key", lambda it: it.resource("dbt").project.environment()["AWS_ACCESS_KEY_ID"]),
    "lake__s3__secret_access_key": ("a-secret", lambda it: it.resource("lake").storage_options["secret_access_key"]),
    "lake__s3__session_token": ("a-token", lambda it: it.form.fields["x-amz-security-token"]),
    "photos__max_bytes": (2_000_000, lambda it: it.resource("ingest").reader.bounds.skip_above_bytes),
    "photos__max_pixels": (1_000_000, lambda it: it.resource("ingest").limits.max_pixels),
    "photos__max_side_px": (4_096, lambda it: it.resource("ingest").limits.max_side_px),
    "photos__min_side_px": (9, lambda it: it.resource("ingest").limits.min_side_px),
    "photos__max_aspect": (3.0, lambda it: it.resource("ingest").limits.max_aspect),
    "photos__max_frames": (5, lambda it: it.resource("ingest").limits.max_frames),
    "photos__formats": (("png",), lambda it: it.sanitizer.limits.formats),
    "photos__max_adult_score": (0.25, lambda it: it.sanitizer.limits.max_adult_score),
    "photos__near_duplicates": ("skip", lambda it: "skip" if it.near_duplicates.skip else "process"),
    "photos__near_duplicate_bits": (2, lambda it: it.near_duplicates.bits),
    "photos__near_duplicate_days": (7, lambda it: it.near_duplicates.days),
    "photos__jpeg_quality": (77, lambda it: it.sanitizer.jpeg_quality),
    "photos__decode_seconds": (1.5, lambda it: it.sanitizer.decode_seconds),
    "photos__decode_memory_bytes": (300_000_000, lambda it: it.sanitizer.decode_bytes),
    "photos__decoders": (3, lambda it: app.asyncio.run(it.while_it_runs())[0]),
    "vision__fit": ("pad", lambda it: it.resource("models").geometry.fit),
    "vision__decoder": ("gpu", lambda it: it.resource("ingest").tensors.geometry.decoder),
    "vision__decode_threads": (3, lambda it: it.resource("ingest").reader.bounds.work_slots),
    "vision__in_flight_objects": (5, lambda it: it.resource("ingest").reader.bounds.in_flight_objects),
    "vision__in_flight_bytes": (2_000_000, lambda it: it.resource("predict").reader.bounds.in_flight_bytes),
    "vision__tensors": ("redecode", lambda it: "stored" if it.resource("ingest").tensors.kept else "redecode"),
    "vision__shard_images": (77, lambda it: it.resource("ingest").tensors.shard_images),
    **{
        f"models__{name}": (value, partial(model_setting, name))
        for name, value in {
            "set": "production",
            "classifier": "resnet18.a1_in1k",
            "embedder": "ViT-B-16/laion2b_s34b_b88k",
            "backend": "torch",
            "precision": "fp32",
            "device": "cpu",
            "batch_size": 8,
            "torch_compile": True,
            "top_k": 3,
        }.items()
    },
    "models__parity_cosine": (0.9, lambda it: it.resource("models").parity_limits.cosine),
    "models__parity_cosine_labelled": (0.8, lambda it: it.resource("models").parity_limits.cosine_labelled),
    "models__parity_top1": (0.7, lambda it: it.resource("models").parity_limits.top1_agreement),
    "models__parity_accuracy_points": (2.0, lambda it: it.resource("models").parity_limits.accuracy_points),
    "pipeline__decode_failure_limit": (0.5, lambda it: it.resource("pipeline").decode_failure_limit),
    "pipeline__commit_images": (77, lambda it: it.resource("predict").commit_images),
    "pipeline__eur_per_hour": (
        {"image_tensors": 0.5},
        lambda it: {"image_tensors": it.dbt_variables["eur_per_hour"]["image_tensors"]},
    ),
    "bi__marts_path": (
        Path("/srv/marts.duckdb"),
        lambda it: Path(it.resource("dbt").project.environment()["SHELF_BI_MARTS_PATH"]),
    ),
    "bi__low_confidence": (0.5, lambda it: it.dbt_variables["low_confidence"]),
    "tracking__uri": ("https://mlflow.example", lambda it: it.resource("tracking").uri),
    "http__body_seconds": (5.0, lambda it: it.api.state.upload.body_limits.body_seconds),
    "http__silence_seconds": (4.0, lambda it: it.served["http"].keywords["head_seconds"]),
    "http__drain_seconds": (3, lambda it: it.served["timeout_graceful_shutdown"]),
    "http__key_requests": ("2/minute", lambda it: it.rate_limits._of_keys["requests"]),
    "http__key_bytes": ("3/minute", lambda it: it.rate_limits._of_keys["bytes"]),
    "http__key_pixels": ("4/minute", lambda it: it.rate_limits._of_keys["pixels"]),
    "http__address_requests": ("5/minute", lambda it: it.rate_limits._of_addresses["requests"]),
    "http__address_bytes": ("6/minute", lambda it: it.rate_limits._of_addresses["bytes"]),
    "http__address_pixels": ("7/minute", lambda it: it.rate_limits._of_addresses["pixels"]),
    "http__redis_url": (REDIS, lambda it: it.rate_limits._redis.masked_url if it.rate_limits._redis else None),
    "http__trusted_proxies": ("10.0.0.1", lambda it: it.served["forwarded_allow_ips"]),
    "intake__uploads_in_flight": (2, lambda it: it.api.state.upload.concurrency._count),
    "intake__owner_hash_key": (
        "0123456789abcdef",
        lambda it: it.api.state.upload.owner_hash_key.decode(),
    ),
    "intake__form_seconds": (77, lambda it: (it.form.expires_at - NOW).seconds),
    "intake__form_endpoint_url": ("http://127.0.0.1:7", lambda it: it.form.url.removesuffix("/elsewhere")),
    "intake__validate_incoming_seconds": (9, lambda it: app.asyncio.run(it.while_it_runs())[1]),
    "dagster__executor": ("in_process", lambda it: getattr(it.defs.executor, "name", None)),
    "dagster__in_process_photos": (7, lambda it: it.most_photos_in_process),
    "dagster__max_concurrent_steps": (5, lambda it: it.executor_config["max_concurrent"]),
    "dagster__k8s_image": ("shelf:1", lambda it: it.step_image),
    "dagster__nightly_hour_utc": (
        5,
        lambda it: int(str(it.repository.get_schedule_def("nightly").cron_schedule).split()[1]),
    ),
    "dagster__arrivals_interval_seconds": (
        99,
        lambda it: it.repository.get_sensor_def("arrivals").minimum_interval_seconds,
    ),
    "dagster__arrivals_lookback_days": (
        11,
        lambda it: 11 if "the last 11 days" in str(it.repository.get_sensor_def("arrivals").description) else None,
    ),
}
ALONE = "dagster__executor"  # most settings of the executor apply to another kind of executor
HOMES = {"home", "dagster__home"}  # folders into which the graph and its instance write


@pytest.fixture(scope="module")
def everything_changed(parsed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    values = {path: value for path, (value, _) in EVERYWHERE.items() if path != ALONE}
    home = shutil.copytree(parsed_home, tmp_path_factory.mktemp("changed") / "home")
    return load_settings({}, home=home, **values)


@pytest.fixture
def assembled(everything_changed: Settings, monkeypatch: pytest.MonkeyPatch) -> Assembled:
    return Assembled(everything_changed, monkeypatch)


def test_every_setting_has_a_line_here_with_a_value_of_its_own() -> None:
    paths = {"__".join(leaf.path): leaf for leaf in leaves()}
    assert set(paths) == set(EVERYWHERE) | HOMES
    for path, (value, _) in EVERYWHERE.items():
        assert paths[path].value_in(load_settings({})) != value, f"{path} has its default value here"


@pytest.mark.parametrize("path", [path for path in EVERYWHERE if path != ALONE])
def test_a_setting_passed_as_a_value_reaches_its_user(path: str, assembled: Assembled) -> None:
    value, found_in = EVERYWHERE[path]
    assert found_in(assembled) == value


def test_the_executor_passed_as_a_value_runs_the_steps(parsed_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value, found_in = EVERYWHERE[ALONE]
    assert found_in(Assembled(load_settings({}, home=parsed_home, dagster__executor=value), monkeypatch)) == value


def test_the_homes_passed_as_values_hold_the_state(assembled: Assembled, tmp_path: Path) -> None:
    home = assembled.settings.home
    assert assembled.resource("models")._home == assembled.resource("dbt").project.home == home
    assert ensure_instance(assembled.settings) == home / "dagster"
    own = assembled.settings.replace(dagster__home=tmp_path / "own")
    assert ensure_instance(own) == tmp_path / "own"
    assert instance_config(own)["storage"] == {"sqlite": {"base_dir": str(tmp_path / "own" / "storage")}}
