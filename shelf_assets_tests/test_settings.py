"""A wrong setting stops at the start, by name; no secret is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shelf_assets.build import open_lake
from shelf_assets.settings import SettingsError, leaves, load_settings
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
def test_a_wrong_value_is_taken_or_not_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).startswith(name) and told in str(raised.value)


def test_only_the_first_of_two_wrong_values_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_MODELS_SET", "x")
    monkeypatch.setenv("SHELF_MODELS_TOP_K", "0")
    with pytest.raises(SettingsError, match=r"(?s)SHELF_MODELS_SET.*SHELF_MODELS_TOP_K"):
        load_settings()


@pytest.mark.parametrize(
    ("misspelt", "told"),
    [
        ("SHELF_MODEL", "did you mean SHELF_MODELS_SET"),
        ("SHELF_LAKE_URI", "did you mean SHELF_LAKE_URL"),
        ("SHELF_XYZZY", "`shelf config`"),
    ],
)
def test_a_misspelt_variable_is_ignored(monkeypatch: pytest.MonkeyPatch, misspelt: str, told: str) -> None:
    monkeypatch.setenv(misspelt, "production")
    with pytest.raises(SettingsError, match=f"unknown setting {misspelt}.*{told}"):
        load_settings()


SECRETS = {"AWS_SECRET_ACCESS_KEY": "s3cr3t-key", "AWS_SESSION_TOKEN": "s3cr3t-token"}


def test_a_secret_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    masked = settings.masked()
    assert "s3cr3t" not in f"{masked} {settings!r} {settings}"
    assert {masked[name] for name in SECRETS} == {"**********"}
    assert masked["AWS_REGION"] == "us-east-1"


def test_a_password_in_a_url_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_TRACKING_URI", "https://shelf:s3cr3t@mlflow.example/path")
    shown = load_settings().masked()["SHELF_TRACKING_URI"]
    assert "s3cr3t" not in shown and "mlflow.example/path" in shown


def test_every_setting_is_shown_by_its_variable() -> None:
    masked = load_settings().masked()
    assert list(masked) == [leaf.variable for leaf in leaves()]
    assert all(leaf.field.description for leaf in leaves()), "every setting is described"


def test_auto_falls_back_in_silence_on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SHELF_ON_CLUSTER": "true", "SHELF_DAGSTER_EXECUTOR": "k8s"}.items():
        with monkeypatch.context() as once:
            once.setenv(name, value)
            with pytest.raises(SettingsError, match=r"models\.set=auto is refused on a cluster: set SHELF_MODELS_SET"):
                load_settings()
            once.setenv("SHELF_MODELS_SET", "embedded")
            once.setenv("SHELF_LAKE_URL", "s3://photos")
            assert load_settings().on_cluster


def test_the_defaults_need_anything_to_be_set(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.lake.url == (tmp_path / "home" / "lake").as_uri()
    assert settings.lake.folder == tmp_path / "home" / "lake"
    assert not settings.lake.on_s3 and not settings.on_cluster


def test_a_folder_with_a_space_is_another_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my lake"
    lake = open_lake(load_settings(lake__url=folder.as_uri()))
    lake.objects.put("images/x", b"x")
    assert (folder / "images" / "x").read_bytes() == b"x"


def test_threads_that_were_asked_for_are_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(vision__decode_threads=3).vision.decode_slots == 3
    assert load_settings().vision.decode_slots >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert load_settings(vision__decode_threads=3).vision.decode_slots == 3


def test_credentials_do_not_reach_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    options = open_lake(load_settings(lake__url="s3://bucket/prefix")).storage_options
    assert options | {"allow_http": "true"} == {
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
        "endpoint": "http://127.0.0.1:9",
        "allow_http": "true",
    }
    assert not open_lake(load_settings()).storage_options, "none for a folder"


def test_exporting_the_environment_for_dbt_makes_the_settings_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    from shelf_assets.defs.resources.dbt import dbt_environment

    for name, value in dbt_environment(load_settings()).items():
        monkeypatch.setenv(name, value)
    load_settings()


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "eu-west-1"),
    ],
)
def test_a_region_that_other_tools_know_is_ignored(
    variables: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings().lake.s3.region == region


def test_a_folder_on_a_cluster_is_lost_with_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SHELF_LAKE_URL to s3://"):
        load_settings(dagster__executor="k8s", models__set="embedded")
    monkeypatch.setenv("SHELF_LAKE_URL", "s3://photos")
    assert load_settings(dagster__executor="k8s", models__set="embedded").on_cluster


def test_a_password_with_a_slash_in_a_url_is_printed() -> None:
    assert "cd" not in without_password("postgresql://mlflow:aB/cd+e@db/mlflow")
    assert without_password("s3://bucket/prefix") == "s3://bucket/prefix"
