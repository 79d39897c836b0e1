"""The store of photos and results: a folder, or SeaweedFS on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal

from benchmarks.photos import PhotoSet
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import day_prefix
from shelf_assets_tests.servers import seaweedfs

StoreKind = Literal["disk", "s3"]

DAY = date(2026, 1, 1)
_DELETE_AT_ONCE = 1000


@dataclass(frozen=True)
class Place:
    """Photos in one store, at `photos_url` under the day's prefix; `results_url` is new for each run."""

    store: StoreKind
    photos_url: str
    results_url: str
    storage_options: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return day_prefix(DAY)

    def photos(self) -> Lake:
        return Lake(self.photos_url, self.storage_options)

    def results(self) -> Lake:
        return Lake(self.results_url, self.storage_options)

    def for_photos(self, name: str) -> Place:
        return replace(self, photos_url=f"{self.photos_url}/{name}")

    def for_run(self, name: str) -> Place:
        return replace(self, results_url=f"{self.results_url}/{name}")

    def environment(self) -> dict[str, str]:
        """Environment variables for S3 clients; none for a folder."""
        if self.store == "disk":
            return {}
        options = self.storage_options
        return {
            "AWS_ACCESS_KEY_ID": options["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": options["secret_access_key"],
            "AWS_REGION": options["region"],
            "AWS_ENDPOINT_URL": options["endpoint"],
            "AWS_ALLOW_HTTP": "true",
        }

    def land(self, photos: PhotoSet) -> None:
        objects = self.photos().objects
        for name, data in photos.files:
            objects.put(f"{self.prefix}{name}", data)

    def clear(self) -> None:
        """Delete a run's results, so that every run starts with an equally empty store."""
        if self.store == "disk":
            shutil.rmtree(self.results_url.removeprefix("file://"), ignore_errors=True)
            return
        objects = self.results().objects
        keys = [stored.key for stored in objects.list("")]
        for start in range(0, len(keys), _DELETE_AT_ONCE):
            objects.delete(keys[start : start + _DELETE_AT_ONCE])


@contextmanager
def open_store(store: StoreKind, folder: Path) -> Iterator[Place]:
    """Open a place under `folder`; for S3 the server runs until the end of the block."""
    if store == "disk":
        yield Place("disk", f"file://{folder}/photos", f"file://{folder}/results")
        return
    with seaweedfs(folder / "server") as server:
        options = {
            "access_key_id": server.access_key_id,
            "secret_access_key": server.secret_access_key,
            "region": server.region,
            "endpoint": server.endpoint_url,
            "allow_http": "True",
        }
        yield Place("s3", f"s3://{server.bucket}/photos", f"s3://{server.bucket}/results", options)
