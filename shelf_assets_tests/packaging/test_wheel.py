"""Each extra of the wheel in a separate environment: its commands work, and its size is bounded."""

from __future__ import annotations

import re
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import httpx
import pytest

from shelf_assets.lake.lake import Lake
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.packaging.environments import Environment, build_wheel, environment, installed
from shelf_assets_tests.vision.pictures import from_a_camera

# The environments with models take 7 GB, and their first imports compile thousands of modules.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

DAY = date(2026, 11, 20)
GRAPH = ["dagster", "polars", "deltalake", "pyarrow"]
MODELS = ["torch", "timm", "open_clip", "transformers", "openvino"]
MARTS = ["dagster_dbt", "dbt", "duckdb"]
START_SECONDS = 120
PHOTOS = repo_root / "shelf_assets" / "demo" / "photos"
Recorder = Callable[[str, object], None]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_core_alone_has_settings_and_keys(wheel: Path, home: Path, tmp_path: Path, record_property: Recorder) -> None:
    with installed(wheel, "", tmp_path / "env") as env:
        record_property("megabytes of the core", env.megabytes)
        assert env.present([*GRAPH, *MODELS, *MARTS, "mlflow", "fastapi"]) == []
        for verb in (["--help"], ["config"], ["keys", "create", "--owner", "acme", "--scope", "upload"]):
            done = env.shelf(home, *verb)
            assert done.returncode == 0, done.stderr
        refused = env.shelf(home, "run", "--day", f"{DAY}")
    assert refused.returncode == 2
    assert "pip install 'shelf-assets[graph,models]'" in refused.stderr and "Traceback" not in refused.stderr


def test_wheel_holds_the_demo_photos_of_the_checkout(wheel: Path) -> None:
    folder = "shelf_assets/demo/photos/"
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(folder)]
        in_wheel = {name.removeprefix(folder): archive.read(name) for name in names}
    assert in_wheel == {photo.name: photo.read_bytes() for photo in PHOTOS.iterdir() if photo.suffix != ".md"}
    assert len(in_wheel) == 50


@contextmanager
def served(env: Environment, home: Path) -> Iterator[str]:
    """The URL of a running upload API."""
    with (home / "log").open("w") as log:
        command = env.command("serve", "intake", "--port", "0")
        server = subprocess.Popen(command, cwd=home, env=environment(home), stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", (home / "log").read_text())):
            assert server.poll() is None and time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.1)
        yield found[0]
    finally:
        server.terminate()
        server.wait(60)


def test_api_takes_photos_without_the_graph_and_models(
    wheel: Path, home: Path, tmp_path: Path, record_property: Recorder
) -> None:
    with installed(wheel, "api", tmp_path / "env") as env:
        record_property("megabytes of [api]", env.megabytes)
        assert env.present([*GRAPH, *MODELS, *MARTS, "mlflow"]) == []
        scopes = ["--scope", "upload", "--scope", "read"]
        token = env.shelf(home, "keys", "create", "--owner", "acme", *scopes).stdout.strip()
        with served(env, home) as url, httpx.Client(headers={"X-API-Key": token}, timeout=60) as client:
            assert client.get(f"{url}/healthz").status_code == 200
            sent = client.post(f"{url}/v1/images", content=from_a_camera(), headers={"Content-Type": "image/jpeg"})
            assert sent.status_code == 201, sent.text
            state = client.get(f"{url}{sent.headers['Location']}")
    assert state.json()["state"] == "received"


def test_graph_and_models_run_a_day_and_all_adds_its_marts(
    wheel: Path, home: Path, tmp_path: Path, record_property: Recorder
) -> None:
    """Both installations use one home folder: the second continues the work of the first."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for colour in ("red", "blue"):
        (photos / f"{colour}.jpg").write_bytes(from_a_camera(colour))
    lake = Lake((home / "lake").as_uri())
    with installed(wheel, "graph,models", tmp_path / "env") as env:
        record_property("megabytes of [graph,models]", env.megabytes)
        assert env.present([*MARTS, "mlflow", "fastapi"]) == []
        for verb in (["land", str(photos)], ["run"]):
            done = env.shelf(home, *verb, "--day", f"{DAY}")
            assert done.returncode == 0, done.stderr[-3000:]
    for table in ("classifications", "clip_embeddings"):
        assert lake.table(table).scan(DAY, DAY).collect().height == 2
    assert not (home / "marts.duckdb").exists()

    with installed(wheel, "all", tmp_path / "env") as env:
        record_property("megabytes of [all]", env.megabytes)
        project = env.site_packages / "shelf_assets" / "dbt_bi"
        before = sorted(project.rglob("*"))
        done = env.shelf(home, "run", "--day", f"{DAY}")
        assert done.returncode == 0, done.stderr[-3000:]
        assert sorted(project.rglob("*")) == before, (
            "dbt must not write into the installed package, which may be read-only"
        )
    for table in ("classifications", "clip_embeddings"):
        assert lake.table(table).scan(DAY, DAY).collect().height == 2
    with duckdb.connect(str(home / "marts.duckdb"), read_only=True) as marts:
        assert marts.sql("select sum(images) from daily_label_popularity").fetchone() == (2,)
