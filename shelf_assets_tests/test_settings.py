"""A wrong setting is an error at start that names it; an error for a former name gives the new one; no secret is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shelf_assets.build import build_dbt_project, open_lake
from shelf_assets.settings import FORMER_NAMES, Settings, SettingsError, leaves, load_settings
from shelf_assets.urls import without_password


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SHELF_MODELS_SET", "prod", "'auto', 'production' or 'embedded'"),
        ("SHELF_MODELS_PRECISION", "fp8", "'auto', 'fp32', 'bf16', 'fp16' or 'int8'"),
        ("SHELF_DAGSTER_EXECUTOR", "ray", "'in_process', 'multiprocess' or 'k8s'"),
        ("SHELF_VISION_FIT", "stretch", "'crop', 'pad' or 'squash'"),
        ("SHELF_MODELS_BATCH_SIZE", "-1", "greater than or equal to 0"),
        ("SHELF_MODELS_BACKEND", "onnx", "'auto', 'torch' or 'openvino'"),
        ("SHELF_VISION_TENSORS", "kept", "'stored' or 'redecode'"),
        ("SHELF_MODELS_TOP_K", "many", "valid integer"),
        ("SHELF_PIPELINE_DECODE_FAILURE_LIMIT", "5", "less than or equal to 1"),
        ("SHELF_LAKE_URL", "/data/lake", "must be file:///absolute/folder or s3://bucket/prefix"),
        ("SHELF_LAKE_URL", "gs://bucket", "must be file:///absolute/folder or s3://bucket/prefix"),
        ("SHELF_LAKE_URL", "s3:///prefix", "must be file:///absolute/folder or s3://bucket/prefix"),
        ("SHELF_PIPELINE_EUR_PER_HOUR", '{"raw_image": 1}', "there are raw_images, image_tensors"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({name: value})
    assert str(raised.value).startswith(name) and told in str(raised.value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)SHELF_MODELS_SET.*SHELF_MODELS_TOP_K"):
        load_settings({"SHELF_MODELS_SET": "x", "SHELF_MODELS_TOP_K": "0"})


@pytest.mark.parametrize(
    ("misspelt", "told"),
    [
        ("SHELF_MODEL", "did you mean SHELF_MODELS_SET"),
        ("SHELF_LAKE_URI", "did you mean SHELF_LAKE_URL"),
        ("SHELF_XYZZY", "`shelf config`"),
    ],
)
def test_a_misspelt_variable_stops_with_the_nearest_name(misspelt: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {misspelt}.*{told}"):
        load_settings({misspelt: "production"})


@pytest.mark.parametrize(("former", "new"), FORMER_NAMES.items())
def test_a_former_name_stops_with_the_new_one(former: str, new: str) -> None:
    variables = {name for leaf in leaves() for name in leaf.variables}
    assert former not in variables and new in variables
    with pytest.raises(SettingsError, match=f"^{former} is now {new}$"):
        load_settings({former: "1"})


SECRETS = {"AWS_SECRET_ACCESS_KEY": "s3cr3t-key", "AWS_SESSION_TOKEN": "s3cr3t-token"}


def test_no_secret_is_shown() -> None:
    settings = load_settings(SECRETS)
    masked = settings.masked()
    assert "s3cr3t" not in f"{masked} {settings!r} {settings}"
    assert {masked[name] for name in SECRETS} == {"**********"}
    assert masked["AWS_REGION"] == "us-east-1"


def test_no_password_in_a_url_is_shown() -> None:
    shown = load_settings({"SHELF_TRACKING_URI": "https://shelf:s3cr3t@mlflow.example/path"}).masked()
    assert "s3cr3t" not in shown["SHELF_TRACKING_URI"] and "mlflow.example/path" in shown["SHELF_TRACKING_URI"]
    assert "cd" not in without_password("postgresql://mlflow:aB/cd+e@db/mlflow"), (
        "a password with a slash must be masked too"
    )
    assert without_password("s3://bucket/prefix") == "s3://bucket/prefix"


def test_every_setting_is_shown_by_its_variable() -> None:
    masked = load_settings({}).masked()
    assert list(masked) == [leaf.variable for leaf in leaves()]
    assert all(leaf.field.description for leaf in leaves()), "every setting needs a description"


def test_a_process_reads_back_the_settings_that_it_was_given(settings: Settings) -> None:
    changed = settings.replace(
        photos__formats=("png",), pipeline__eur_per_hour={"raw_images": 0.5}, http__key_bytes="1/day"
    )
    assert load_settings(changed.environment()) == changed


def test_a_child_process_finds_no_setting_of_its_parents_environment(settings: Settings) -> None:
    parent = {"PATH": "/bin", "AWS_ENDPOINT_URL": "http://other", "SHELF_MODELS_TOP_K": "9"}
    found = settings.child_environment(parent)
    assert found["PATH"] == "/bin" and "AWS_ENDPOINT_URL" not in found and found["SHELF_MODELS_TOP_K"] == "5"


def test_dbt_finds_no_access_to_another_store(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other")  # of the person, not a setting
    on_s3 = settings.replace(lake__url="s3://bucket/prefix", lake__s3__access_key_id="key")
    environment = build_dbt_project(on_s3).environment()
    assert environment["AWS_ACCESS_KEY_ID"] == "key" and "AWS_ENDPOINT_URL" not in environment


def test_what_follows_from_other_settings_follows_when_those_are_replaced(tmp_path: Path) -> None:
    moved = load_settings({}, home=tmp_path / "a", lake__small_file_bytes=5_000).replace(home=tmp_path / "b")
    assert moved == load_settings({}, home=tmp_path / "b", lake__small_file_bytes=5_000)
    assert moved.dagster.home == tmp_path / "b" / "dagster"
    kept = load_settings({}, home=tmp_path / "a", bi__marts_path=tmp_path / "m.duckdb").replace(home=tmp_path / "b")
    assert kept.bi.marts_path == tmp_path / "m.duckdb"
    with pytest.raises(SettingsError, match="is refused on a cluster"):
        load_settings({}).replace(dagster__executor="k8s")


@pytest.mark.parametrize("variable", ["SHELF_HOME", "SHELF_BI_MARTS_PATH", "DAGSTER_HOME"])
def test_a_relative_path_is_of_the_folder_in_which_the_process_started(variable: str) -> None:
    settings = load_settings({variable: "somewhere/else"})
    assert settings.masked()[variable] == str(Path("somewhere/else").resolve())


@pytest.mark.parametrize("variables", [{"SHELF_ON_CLUSTER": "true"}, {"SHELF_DAGSTER_EXECUTOR": "k8s"}])
def test_k8s_executor_refuses_auto_models(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"models\.set=auto is refused on a cluster: set SHELF_MODELS_SET"):
        load_settings(variables)
    variables = variables | {"SHELF_MODELS_SET": "embedded"}
    with pytest.raises(SettingsError, match=r"a folder is lost with its pod.*SHELF_LAKE_URL to s3://"):
        load_settings(variables)
    assert load_settings(variables | {"SHELF_LAKE_URL": "s3://photos"}).on_cluster


def test_the_defaults_need_nothing_set(tmp_path: Path) -> None:
    settings = load_settings({}, home=tmp_path / "home")
    assert settings.lake.url == (tmp_path / "home" / "lake").as_uri()
    assert settings.lake.folder == tmp_path / "home" / "lake"
    assert not settings.lake.on_s3 and not settings.on_cluster


def test_a_lake_may_be_in_a_folder_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "my lake"
    lake = open_lake(load_settings({}, lake__url=folder.as_uri()))
    lake.objects.put("images/x", b"x")
    assert (folder / "images" / "x").read_bytes() == b"x"


def test_as_many_threads_decode_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings({}, vision__decode_threads=3).vision.decode_slots == 3
    assert load_settings({}).vision.decode_slots >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert load_settings({}, vision__decode_threads=3).vision.decode_slots == 3


def test_credentials_reach_the_clients(settings: Settings) -> None:
    variables = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "SHELF_LAKE_URL": "s3://bucket/prefix",
    }
    assert open_lake(load_settings(variables)).storage_options == {
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
        "endpoint": "http://127.0.0.1:9",
        "allow_http": "true",
    }
    assert not open_lake(settings).storage_options, "a folder needs no S3 access"


def test_the_environment_of_dbt_holds_readable_settings(settings: Settings) -> None:
    environment = build_dbt_project(settings).environment()
    assert load_settings({name: environment[name] for name in environment if name.startswith("SHELF_")})


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "eu-west-1"),
    ],
)
def test_a_region_that_other_tools_know_counts(variables: dict[str, str], region: str) -> None:
    assert load_settings(variables).lake.s3.region == region
