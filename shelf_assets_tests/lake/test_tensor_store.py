"""Stored tensors: they are read back unchanged, once, and in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.tensor_store import ROWS_PER_RECORD_BATCH, Tensor, TensorDay, TensorFailure
from shelf_assets.vision.engine import batched
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, sha

SIZE_PX = 8


def day_of(lake: Lake, size_px: int = SIZE_PX) -> TensorDay:
    return lake.tensors(DAY, "geometry-digest", size_px)


def tensor(n: int, size_px: int = SIZE_PX) -> Tensor:
    pixels = np.random.default_rng(n).integers(0, 256, (3, size_px, size_px), dtype=np.uint8)
    return Tensor(f"i{n}", sha(n), pixels)


def tensors(count: int, first: int = 0) -> list[Tensor]:
    return [tensor(n) for n in range(first, first + count)]


def wanted(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"image_id": [f"i{n}" for n in numbers], "sha256": [sha(n) for n in numbers]})


def read_back(day: TensorDay, photos: pl.DataFrame, batch_size: int = 32) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for batch in batched(day.read(photos), batch_size):
        assert batch.pixels.dtype == np.uint8 and batch.pixels.shape == (len(batch.image_ids), 3, SIZE_PX, SIZE_PX)
        assert not set(batch.image_ids) & set(found), "no photo may be read twice"
        found |= dict(zip(batch.image_ids, batch.pixels, strict=True))
    return found


def test_pixels_are_read_back_unchanged_under_their_name(lake: LakeUnderTest) -> None:
    day = day_of(lake.lake)
    failure = TensorFailure("broken", sha("broken"), "decode_error", "bad Huffman code")
    written = day.write([*tensors(150), failure], shard_images=100)
    assert (written.tensors, written.failures, written.shards) == (150, 1, 2)
    found = read_back(day, wanted(*range(150)))
    assert len(found) == 150
    assert all(np.array_equal(found[f"i{n}"], tensor(n).pixels) for n in range(150))


def test_batches_hold_only_the_requested_photos(disk_lake: LakeUnderTest) -> None:
    day = day_of(disk_lake.lake)
    day.write(tensors(200), shard_images=130)
    photos = wanted(3, 64, 65, 129, 130, 199, 500)
    sizes = [len(batch.image_ids) for batch in batched(day.read(photos), 4)]
    assert sizes == [4, 2]
    assert set(read_back(day, photos)) == {"i3", "i64", "i65", "i129", "i130", "i199"}


def test_tensor_of_overwritten_bytes_is_missing(disk_lake: LakeUnderTest) -> None:
    day = day_of(disk_lake.lake)
    day.write(tensors(2), shard_images=10)
    overwritten = wanted(0).with_columns(sha256=pl.lit(sha("new bytes")))
    assert read_back(day, overwritten) == {}
    assert day.index().missing(overwritten).height == 1


def test_interrupted_stream_keeps_finished_tensors(lake: LakeUnderTest) -> None:
    day = day_of(lake.lake)

    def breaking() -> Iterator[Tensor]:
        yield from tensors(90)
        raise ConnectionError("the store went away")

    with pytest.raises(ConnectionError, match="went away"):
        day.write(breaking(), shard_images=50)
    assert len(read_back(day, wanted(*range(100)))) == 90
    todo = day.index().missing(wanted(*range(100)))
    assert todo["image_id"].to_list() == [f"i{n}" for n in range(90, 100)]
    day.write(tensors(10, first=90), shard_images=50)
    assert day.index().missing(wanted(*range(100))).is_empty() and len(read_back(day, wanted(*range(100)))) == 100


def test_shard_of_a_killed_run_is_ignored(lake: LakeUnderTest) -> None:
    day = day_of(lake.lake)
    day.write(tensors(10), shard_images=10)
    lake.lake.objects.put(f"{day.prefix}0000.arrow", b"half a shard")
    assert day.index().entries.height == 10
    assert len(read_back(day, wanted(*range(20)))) == 10
    assert day.index().missing(wanted(*range(20))).height == 10


def test_photo_in_two_shards_is_read_once(lake: LakeUnderTest) -> None:
    day = day_of(lake.lake)
    day.write(tensors(70), shard_images=100)
    day.write(tensors(70, first=35), shard_images=100)
    assert len(read_back(day, wanted(*range(105)))) == 105
    assert day.index().entries.height == 105


def test_permanent_failure_is_final_and_gone_is_retried(disk_lake: LakeUnderTest) -> None:
    day = day_of(disk_lake.lake)
    day.write(
        [TensorFailure("i0", sha(0), "decode_error", "x"), TensorFailure("i1", sha(1), "gone", "x"), tensor(2)], 10
    )
    assert day.index().missing(wanted(0, 1, 2, 3))["image_id"].to_list() == ["i1", "i3"]
    day.write([TensorFailure("i1", sha(1), "truncated", "x")], 10)
    assert day.index().missing(wanted(0, 1, 2, 3))["image_id"].to_list() == ["i3"], "a broken photo is final"
    day.write([tensor(0)], 10)
    assert set(read_back(day, wanted(0, 1, 2, 3))) == {"i0", "i2"}, "a tensor must replace a failure"
    assert day.index().entries.filter(image_id="i0")["reason"].to_list() == [None]


def test_geometries_do_not_share_tensors(disk_lake: LakeUnderTest) -> None:
    day_of(disk_lake.lake).write(tensors(3), shard_images=10)
    other = disk_lake.lake.tensors(DAY, "another-geometry", SIZE_PX)
    assert other.index().missing(wanted(0, 1, 2)).height == 3
    assert list(batched(other.read(wanted(0, 1, 2)), 2)) == []


def test_empty_stream_writes_no_files(disk_lake: LakeUnderTest) -> None:
    day = day_of(disk_lake.lake)
    assert day.write([], shard_images=10).shards == 0
    assert list(disk_lake.lake.objects.list(day.prefix)) == []


IMAGES = 4_000
MEMORY = """
import sys
import numpy as np
import polars as pl
from shelf_assets.lake.lake import Lake
from shelf_assets_tests.lake.rows import DAY, sha
from shelf_assets.lake.tensor_store import Tensor
url, images = sys.argv[1], int(sys.argv[2])
from shelf_assets.observe.meter import peak_memory_bytes as peak
from shelf_assets.vision.engine import batched
pixels = np.zeros((3, 224, 224), np.uint8)
def day_of(digest): return Lake(url).tensors(DAY, digest, 224)
def round_trip(digest, count):
    day = day_of(digest)
    day.write((Tensor(f"i{n}", sha(n), pixels) for n in range(count)), shard_images=images)
    photos = pl.DataFrame({"image_id": [f"i{n}" for n in range(count)], "sha256": [sha(n) for n in range(count)]})
    assert sum(len(batch.image_ids) for batch in batched(day.read(photos), 32)) == count
round_trip("warm", 64)
before = peak()
round_trip("cold", images)
print(peak() - before)
"""


@pytest.mark.slow
def test_reader_and_writer_memory_is_below_a_shard(disk_lake: LakeUnderTest) -> None:
    measured = subprocess.run(
        [sys.executable, "-c", MEMORY, disk_lake.url, str(IMAGES)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert measured.returncode == 0, measured.stderr
    growth_bytes, shard_bytes = int(measured.stdout), IMAGES * 3 * 224 * 224
    assert growth_bytes < shard_bytes / 5, f"{growth_bytes / 1e6:.0f} MB for a shard of {shard_bytes / 1e6:.0f} MB"
    assert ROWS_PER_RECORD_BATCH * 3 * 224 * 224 < 10_000_000
