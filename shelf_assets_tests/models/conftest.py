"""Shared by the tests of models: the embedded models, pictures, photos with their classes, and a model hub on loopback."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelf_assets.models.classifier import Classifier, load_classifier
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.embedder import Embedder, load_embedder
from shelf_assets.vision.preprocess import Geometry, to_tensor

# timm's own test model: a few hundred kilobytes, registered like any other.
TINY_CLASSIFIER = "test_resnet.r160_in1k"
TINY_EMBEDDER = "shelf-tiny/noise"
COMMIT = "c" * 40


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return load_classifier(embedded_spec("classifier", "fp32"), device="cpu")


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder(embedded_spec("embedder", "fp32"), device="cpu")


@pytest.fixture(scope="session")
def plain_batch() -> np.ndarray:
    """Three pictures that need no data: a red disc, a gradient, and noise."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 224).astype(np.uint8)
    across, down = np.meshgrid(np.arange(224), np.arange(224))
    disc = np.where(((across - 112) ** 2 + (down - 112) ** 2 < 80**2)[..., None], [200, 20, 30], 255)
    pictures = [
        disc.astype(np.uint8),
        np.stack([np.tile(ramp, (224, 1))] * 3, 2),
        rng.integers(0, 256, (224, 224, 3), np.uint8),
    ]
    return np.stack([_png_tensor(picture) for picture in pictures])


def _png_tensor(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return to_tensor(file.getvalue(), Geometry())


@pytest.fixture(scope="session")
def grocery_val(shared_data: Path) -> list[tuple[Path, int, int]]:
    """Every fourth validation photo: path, fine class, coarse class."""
    lines = (shared_data / "grocery" / "val.txt").read_text().splitlines()
    rows = [line.split(", ") for line in lines]
    return [(shared_data / "grocery" / path, int(fine), int(coarse)) for path, fine, coarse in rows[::4]]


@pytest.fixture(scope="session")
def grocery_batch(grocery_val: list[tuple[Path, int, int]]) -> np.ndarray:
    return np.stack([to_tensor(path.read_bytes(), Geometry()) for path, _, _ in grocery_val])


@dataclass
class Hub:
    """A model hub on loopback: repository/filename to bytes. Records its requests."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Point the hub's client to a local server that implements the parts of the protocol which the client uses."""
    from hashlib import sha256

    from huggingface_hub import constants

    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())

        def _answer(self) -> bytes:
            state.requests.append(f"{self.command} {self.path}")
            if self.path == "/":
                self.send_response(200)
                self.end_headers()
                return b""
            repo, _, rest = self.path.strip("/").partition("/resolve/")
            data = state.files.get(f"{repo}/{rest.partition('/')[2]}")
            self.send_response(404 if data is None else 200)
            if data is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{sha256(data or b"").hexdigest()}"')
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            return data or b""

        def log_message(self, *arguments: object) -> None:
            """No access log in pytest's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", state.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", state.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A digest record with the registry entries of the tiny models, so that they are resolved without torch."""
    from shelf_assets.models.registry import registry_key

    common = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
    classifier = common | {
        "name": TINY_CLASSIFIER,
        "architecture": "test_resnet",
        "pretrained": "r160_in1k",
        "repo": f"timm/{TINY_CLASSIFIER}",
        "filenames": ["model.safetensors", "pytorch_model.bin"],
        "image_size_px": 160,
    }
    embedder = common | {
        "name": TINY_EMBEDDER,
        "architecture": "shelf-tiny",
        "pretrained": "noise",
        "repo": "shelf/tiny",
        "filenames": ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"],
        "image_size_px": 64,
    }
    path = tmp_path / "digests.json"
    entries = {
        registry_key("classifier", TINY_CLASSIFIER): classifier,
        registry_key("embedder", TINY_EMBEDDER): embedder,
    }
    path.write_text(json.dumps({"weights": {}, "registry": entries}))
    return path


def put_in_cache(cache: Path, repo: str, filename: str, data: bytes) -> Path:
    """Put a file into a hub cache as the hub's client does."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    path = folder / "snapshots" / COMMIT / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
