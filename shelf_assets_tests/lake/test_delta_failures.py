"""Tables under failures: a full disk, a wrong key, no server, an older package. Each raises an error and loses no row."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from shelf_assets.lake import delta
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.schemas import STAGE_RUNS, SchemaError
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, photo, photos, prediction, predictions, stage_runs
from shelf_assets_tests.lake.writers import GROWN
from shelf_assets_tests.servers import refusing_port

OTHER_DAY = DAY + timedelta(days=1)
PATIENCE_SECONDS = 60


def test_finished_day_commits_no_new_version(lake: LakeUnderTest) -> None:
    for name, rows in {
        "raw_images": photos([photo("a", 1), photo("b", 1), photo("c", 2)]),
        "classifications": predictions([prediction("a"), prediction("c")]),
        "stage_runs": stage_runs(["r"]),
    }.items():
        table = lake.lake.table(name)
        first = table.commit(rows, days=[DAY], info={"dagster_run_id": "x"})
        again = table.commit(rows, days=[DAY])
        assert (first.committed, first.rows_new) == (True, rows.height)
        assert (again.committed, again.rows_new, again.version) == (False, 0, first.version)
        assert table.version() == first.version


def test_rewritten_day_keeps_other_days(lake: LakeUnderTest) -> None:
    table = lake.lake.table("raw_images")
    table.commit(photos([photo("a", 1), photo("a", 2, OTHER_DAY)]))
    table.commit(photos([photo("late", 3)]))
    table.commit(photos([photo("a", "new bytes"), photo("later", 4, OTHER_DAY)]))
    stored = table.scan().collect()
    assert sorted(stored["key"].str.slice(7)) == [
        "2025/03/01/a",
        "2025/03/01/late",
        "2025/03/02/a",
        "2025/03/02/later",
    ]
    assert table.scan(OTHER_DAY, OTHER_DAY).collect().height == 2


def test_rows_outside_the_run_days_are_refused(lake: LakeUnderTest) -> None:
    table = lake.lake.table("stage_runs")
    with pytest.raises(SchemaError, match="rows of 2025-03-02 in a run of 2025-03-01"):
        table.commit(stage_runs(["r"], OTHER_DAY), days=[DAY])
    assert table.version() is None


def test_added_column_keeps_old_rows(lake: LakeUnderTest) -> None:
    old = lake.lake.table("stage_runs")
    new = LakeTable(GROWN, old.uri, old.storage_options)
    old.commit(stage_runs(["before"]))
    assert new.scan().collect()["energy_joules"].to_list() == [None], (
        "the table must be readable before the column is added"
    )
    new.commit(stage_runs(["grown"]).with_columns(energy_joules=pl.lit(2.5)))
    stored = new.scan().select("run_id", "energy_joules").collect()
    assert dict(stored.iter_rows()) == {"before": None, "grown": 2.5}


def test_older_version_cannot_write_a_newer_table(disk_lake: LakeUnderTest) -> None:
    old = disk_lake.lake.table("stage_runs")
    new = LakeTable(GROWN, old.uri, old.storage_options)
    new.commit(stage_runs(["grown"]).with_columns(energy_joules=pl.lit(2.5)))
    with pytest.raises(SchemaError, match=r"has the column.* energy_joules, which .* does not declare.*newer version"):
        old.commit(stage_runs(["by an older programme"]))
    assert old.scan().collect().columns == list(STAGE_RUNS.columns), "an older version must still read the table"
    assert new.scan().collect()["energy_joules"].to_list() == [2.5]


@pytest.mark.parametrize("verb", ["scan", "commit"])
def test_unreadable_table_is_not_treated_as_empty(
    disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    table = disk_lake.lake.table("raw_images")
    table.commit(photos([photo("a", 1), photo("b", 2)]))

    def fails(*_args: object, **_options: object) -> None:
        raise OSError("Generic S3 error: connection reset by peer")

    with monkeypatch.context() as once:
        once.setattr(delta, "DeltaTable", fails)
        with pytest.raises(StoreUnavailable, match=r"opening table raw_images in .* connection reset"):
            table.scan() if verb == "scan" else table.commit(photos([photo("c", 3)]))
    assert table.scan().collect().height == 2
    table.commit(photos([photo("c", 3)]))
    assert table.scan().collect().height == 3


def test_broken_log_is_not_treated_as_a_new_table(disk_lake: LakeUnderTest) -> None:
    table = disk_lake.lake.table("stage_runs")
    table.commit(stage_runs(["a"]))
    newest = sorted((Path(table.uri.removeprefix("file://")) / "_delta_log").glob("*.json"))[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreUnavailable, match="opening table stage_runs"):
        table.commit(stage_runs(["b"]))
    newest.write_bytes(whole)
    assert table.scan().collect()["run_id"].to_list() == ["a"]


def elsewhere(lake: Lake, **changed: str) -> Lake:
    return dataclasses.replace(lake, storage_options=dict(lake.storage_options) | changed)


@pytest.mark.s3
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"secret_access_key": "wrong"}, "credentials are refused; check AWS_ACCESS_KEY_ID"),
        ({"access_key_id": "wrong"}, "credentials are refused; check AWS_ACCESS_KEY_ID"),
        ({"endpoint": "nobody"}, "no server answers; check AWS_ENDPOINT_URL"),
    ],
)
def test_wrong_key_or_server_is_named_in_time(s3_lake: LakeUnderTest, changed: dict[str, str], told: str) -> None:
    table = s3_lake.lake.table("stage_runs")
    table.commit(stage_runs(["a"]))
    if "endpoint" in changed:
        changed = {"endpoint": f"http://127.0.0.1:{refusing_port()}"}
    wrong = elsewhere(s3_lake.lake, **changed)
    began = time.monotonic()
    for attempt in (
        lambda: wrong.table("stage_runs").commit(stage_runs(["b"])),
        lambda: wrong.table("stage_runs").scan(),
        lambda: wrong.listing(DAY),
        lambda: wrong.objects.get("images/x"),
        lambda: wrong.objects.put("images/x", b"x"),
    ):
        with pytest.raises(StoreUnavailable, match=told) as raised:
            attempt()
        assert s3_lake.url in str(raised.value)
        assert "test-secret" not in str(raised.value)
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert table.scan().collect()["run_id"].to_list() == ["a"]


@pytest.mark.s3
def test_unknown_bucket_is_refused(s3_lake: LakeUnderTest) -> None:
    unknown = dataclasses.replace(s3_lake.lake, url="s3://misspelt/lake")
    for attempt in (
        lambda: unknown.table("stage_runs").scan(),
        lambda: unknown.accepted(DAY),
        lambda: unknown.listing(DAY),
        lambda: unknown.objects.get("images/x"),
        lambda: unknown.table("stage_runs").commit(stage_runs(["a"])),
    ):
        with pytest.raises(StoreUnavailable, match=r"make (it|the bucket).* correct SHELF_LAKE_URL"):
            attempt()


LARGE_COMMIT = """
import resource, signal, sys
import polars as pl
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.lake import Lake
from shelf_assets_tests.lake.rows import prediction, predictions, sha
url, limit_bytes = sys.argv[1], int(sys.argv[2])
if limit_bytes:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
rows = predictions(prediction(f"i{n}") | {"label": "".join(sha((n, m)) for m in range(16))} for n in range(4000))
try:
    print(Lake(url).table("classifications").commit(rows).rows_new)
except StoreUnavailable as told:
    sys.exit(str(told))
"""


def commit_too_much(url: str, limit_bytes: int = 0) -> subprocess.CompletedProcess[str]:
    """Commit 4 MB of rows in a process whose files are limited to `limit_bytes`."""
    return subprocess.run(
        [sys.executable, "-c", LARGE_COMMIT, url, str(limit_bytes)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_untouched(lake: Lake, version: int) -> None:
    table = lake.table("classifications")
    assert table.version() == version
    assert table.scan().collect()["image_id"].to_list() == ["kept"]
    assert pl.read_delta(table.uri, version=version)["image_id"].to_list() == ["kept"]


def test_truncated_write_leaves_the_table_untouched(disk_lake: LakeUnderTest) -> None:
    version = disk_lake.lake.table("classifications").commit(predictions([prediction("kept")])).version
    failed = commit_too_much(disk_lake.url, limit_bytes=100_000)
    assert failed.returncode == 1 and "the disk is full" in failed.stderr, failed.stderr
    assert_untouched(disk_lake.lake, version)
    assert commit_too_much(disk_lake.url).stdout == "4000\n", "a repeated commit must succeed"
    assert disk_lake.lake.table("classifications").scan().collect().height == 4001


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_keeps_existing_rows(small_disk: Path) -> None:
    lake = Lake((small_disk / "lake").as_uri())
    version = lake.table("classifications").commit(predictions([prediction("kept")])).version
    failed = commit_too_much(lake.url)
    assert failed.returncode == 1 and "the disk is full" in failed.stderr, failed.stderr
    assert "Free space and run it again" in failed.stderr
    assert_untouched(lake, version)
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        lake.objects.put("images/big", b"x" * 2_000_000)
    assert not lake.objects.exists("images/big")
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    assert commit_too_much(lake.url).stdout == "4000\n", "a repeated commit must succeed"
    assert lake.table("classifications").scan().collect().height == 4001
