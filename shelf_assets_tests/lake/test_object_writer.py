"""Objects with metadata: both are durable, and read in one request; no photo is lost because of its metadata."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import ObjectStore, day_prefix
from shelf_assets.lake.object_writer import ObjectWithMetadata, ObjectWriter
from shelf_assets.vision.engine import read_each
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.faulty_proxy import Fault, Faults
from shelf_assets_tests.lake.rows import DAY
from shelf_assets_tests.lake.test_store_failures import BOUNDS, body, failing

OWNER = {"owner": "0123456789abcdef0123456789abcdef", "had-gps": "true"}


def test_metadata_is_stored_with_its_photo(lake: LakeUnderTest) -> None:
    object_writer = lake.lake.object_writer
    object_writer.put("images/2025/03/01/with", b"a photo", OWNER)
    lake.lake.objects.put("images/2025/03/01/without", b"another")
    assert object_writer.find("images/2025/03/01/with") == ObjectWithMetadata(b"a photo", OWNER)
    assert object_writer.find("images/2025/03/01/without") == ObjectWithMetadata(b"another", {})
    assert object_writer.find("images/2025/03/01/nowhere") is None


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are synced to disk, in order."""
    paths: list[str] = []
    fsync = os.fsync

    def recorded(handle: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    return paths


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")


@needs_proc
def test_stored_photo_is_synced_with_metadata_and_folders(disk_lake: LakeUnderTest, synced: list[str]) -> None:
    """Metadata is synced before the photo; each file is synced after its folders and before its directory entry."""
    disk_lake.lake.object_writer.put("images/2026/11/24/photo", b"a photo", OWNER)
    root = f"{disk_lake.lake.objects.folder}"
    folders = ["images", "images/2026", "images/2026/11"]
    last = [
        ("facts/images/2026/11/24/photo.json#", "facts/images/2026/11/24"),
        ("images/2026/11/24/photo#", "images/2026/11/24"),
    ]
    assert [re.sub(r"#\d+$", "#", path.removeprefix(f"{root}/")) for path in synced] == [
        *(root, "facts", *(f"facts/{folder}" for folder in folders), *last[0]),
        *(root, *folders, *last[1]),
    ]


@needs_proc
def test_existing_folders_are_not_synced_again(disk_lake: LakeUnderTest, synced: list[str]) -> None:
    disk_lake.lake.objects.put("images/2026/11/24/landed", b"a photo")
    for name in ("first", "second", "third"):
        synced.clear()
        disk_lake.lake.object_writer.put(f"images/2026/11/24/{name}", b"a photo", OWNER)
    root = f"{disk_lake.lake.objects.folder}"
    assert [re.sub(r"#\d+$", "#", path.removeprefix(f"{root}/")) for path in synced] == [
        *("facts/images/2026/11/24/third.json#", "facts/images/2026/11/24"),
        *("images/2026/11/24/third#", "images/2026/11/24"),
    ]


@needs_proc
def test_claim_made_by_another_is_synced(disk_lake: LakeUnderTest, synced: list[str]) -> None:
    """The other process synced the file's bytes, but perhaps not its folder yet; so this one syncs the folder."""
    disk_lake.lake.objects.put("door/claims/a", b"the other's")
    assert disk_lake.lake.object_writer.create("door/claims/a", b"mine") is False
    root = f"{disk_lake.lake.objects.folder}"
    assert synced[:2] == [root, f"{root}/door"]
    assert synced[-1] == f"{root}/door/claims"


def test_removed_folder_is_created_again(disk_lake: LakeUnderTest) -> None:
    object_writer = disk_lake.lake.object_writer
    object_writer.put("images/2026/11/24/first", b"a photo", OWNER)
    assert object_writer.store.folder is not None
    shutil.rmtree(object_writer.store.folder / "images")
    object_writer.put("images/2026/11/24/second", b"another", OWNER)
    assert object_writer.find("images/2026/11/24/second") == ObjectWithMetadata(b"another", OWNER)


@pytest.mark.s3
def test_metadata_is_read_in_one_request_with_the_photo(s3_lake: LakeUnderTest) -> None:
    s3_lake.lake.object_writer.put("images/2025/03/01/photo", b"a photo", OWNER)
    requests: list[tuple[str, str]] = []

    def heard(method: str, path: str) -> bool:
        requests.append((method, path))
        return False

    with failing(s3_lake.lake, Faults({}, only=heard)) as store:
        assert ObjectWriter(store).find("images/2025/03/01/photo") == ObjectWithMetadata(b"a photo", OWNER)
    assert [method for method, _ in requests] == ["GET"]


@pytest.mark.s3
@pytest.mark.parametrize("fault", ["broken_body", "truncated_body", "slow_down", "lost_answer"])
def test_failing_store_loses_neither_photos_nor_metadata(s3_lake: LakeUnderTest, fault: Fault) -> None:
    facts = {f"{day_prefix(DAY)}{n:04}": {"owner": f"{n:032x}"} for n in range(32)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n, key: s3_lake.lake.object_writer.put(key, body(n), facts[key]), range(32), facts))
    faults = Faults({fault: 0.4})
    with failing(s3_lake.lake, faults) as store:
        listed = sorted(store.list(day_prefix(DAY)), key=lambda stored: stored.key)
        read = list(read_each(listed, ObjectWriter(store).find, lambda stored, deposit: (stored.key, deposit), BOUNDS))
    assert faults.met[fault] >= 4, "too few failures for this test"
    assert dict(read) == {key: ObjectWithMetadata(body(n), facts[key]) for n, key in enumerate(facts)}


@pytest.mark.parametrize("name", ["x" * 253, "photo.json/inside"], ids=["too long for its facts", "below facts"])
def test_key_without_metadata_name_is_read(disk_lake: LakeUnderTest, name: str) -> None:
    disk_lake.lake.object_writer.put(f"{day_prefix(DAY)}photo", b"x", OWNER)
    disk_lake.lake.objects.put(f"{day_prefix(DAY)}{name}", b"a photo")
    assert disk_lake.lake.object_writer.find(f"{day_prefix(DAY)}{name}") == ObjectWithMetadata(b"a photo", {})


@pytest.mark.s3
@pytest.mark.parametrize(
    "read", [lambda store: ObjectWriter(store).find("images/x"), lambda store: store.get("images/x")]
)
def test_missing_bucket_is_not_reported_as_a_missing_photo(
    s3_lake: LakeUnderTest, read: Callable[[ObjectStore], object]
) -> None:
    store = ObjectStore("s3://misspelt/lake", s3_lake.lake.objects.s3_config)
    with pytest.raises(StoreUnavailable, match="correct SHELF_LAKE_URL"):
        read(store)
