"""Commits of raw_images while the known hashes grow from 1 to 100 million: time, bytes, memory. `--help`.

The last 90 days of 5,000 photos are real and contain everything that a measured commit may read; every commit is real. The
days before them are entries of the hash index, in a run of its own format, and names of data files in the table's log; none
of their rows exists, so a commit that read one would fail.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deltalake import write_deltalake
from deltalake.transaction import AddAction, RemoveAction

from benchmarks.hash_lookup_page import page
from benchmarks.meters import Span, machine, peak_rss_bytes, reset_peak_rss, timed
from benchmarks.photos import REPO_ROOT
from benchmarks.year_of_rows import day_number, raw_images
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.hash_index import build
from shelf_assets.lake.hash_index.entries import Entries, Kind
from shelf_assets.lake.hash_index.manifest import RUNS, Manifest, newest, put
from shelf_assets.lake.hash_index.rows import data_files
from shelf_assets.lake.hash_index.runs import Run, merged, write_run
from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, accepted_twice
from shelf_assets_tests.servers import seaweedfs

REPEATS = 5
PHOTOS_A_DAY = 5_000
REAL_DAYS = 90
# Number of photos of a measured day that are copies of accepted ones, and the number of real days that they are from.
COPIES, COPIED_DAYS = 100, 20
MILLION = 1_000_000
# Hashes and days: the table grows by larger days, or by more days.
POINTS = ((1 * MILLION, 365), (10 * MILLION, 365), (100 * MILLION, 365), (100 * MILLION, 20_000))
_ENTRIES_AT_ONCE = 1 << 20
_ENTRIES_A_HASH = 2  # its sha256 and its group
_BYTES_A_HASH = 30

Metric = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hash_lookup", description=__doc__)
    parser.add_argument("--s3", action="store_true", help="in an S3 server on loopback, not in a folder")
    parser.add_argument("--most", type=int, default=100 * MILLION, help="leave out points of more hashes (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    arguments = parser.parse_args()
    points = [point for point in POINTS if point[0] <= arguments.most]
    with tempfile.TemporaryDirectory(prefix="shelf-hash-lookup-") as folder:
        # A run, the runs that it was merged from, and the next point while this one is deleted.
        needed_bytes = 3 * _BYTES_A_HASH * max(hashes for hashes, _ in points) + 10**9
        if shutil.disk_usage(folder).free < needed_bytes:
            parser.error(
                f"{folder} has no room for {needed_bytes / 1e9:.0f} GB; set TMPDIR, or ask for fewer by --most"
            )
        with _store(Path(folder), arguments.s3) as (url, options):
            result = run(url, options, points)
    name = "hash-lookup-s3" if arguments.s3 else "hash-lookup"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    results = {
        each: json.loads(path.read_text())
        for each in ("hash-lookup", "hash-lookup-s3")
        if (path := arguments.out / f"{each}.json").exists()
    }
    (arguments.out / "hash-lookup.md").write_text(page(results))
    print(page(results))


@contextmanager
def _store(folder: Path, is_s3: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """URL of the lakes, and options of delta-rs."""
    if not is_s3:
        yield folder.as_uri(), {}
        return
    with seaweedfs(folder) as server:
        yield (
            f"s3://{server.bucket}",
            {
                "access_key_id": server.access_key_id,
                "secret_access_key": server.secret_access_key,
                "region": server.region,
                "endpoint": server.endpoint_url,
                "allow_http": "true",
            },
        )


def run(url: str, options: dict[str, str], points: list[tuple[int, int]]) -> dict[str, Any]:
    begun = time.monotonic()

    def progress(message: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {message}", flush=True)

    result: dict[str, Any] = {
        "machine": machine(),
        "store": url.split("://")[0],
        "repeats": REPEATS,
        "photos_a_day": PHOTOS_A_DAY,
        "real_days": REAL_DAYS,
        "copies": COPIES,
        "points": [],
    }
    for hashes, days in points:
        lake = Lake(f"{url}/{hashes}-{days}", options)
        table = lake.table("raw_images")
        point = f"{hashes / MILLION:,.0f} million hashes in {days:,} days"
        building = _build(table, hashes, days)
        progress(f"{point}: built")
        result["points"].append({"hashes": hashes, "days": days} | building | _measure(table, lake))
        progress(f"{point}: measured")
        if days == points[0][1]:
            result["points"][-1]["merge"] = _merge(table)
            progress(f"{point}: merged")
        _delete_all(lake)
    result["seconds"] = round(time.monotonic() - begun)
    return result


def _build(table: LakeTable, hashes: int, days: int) -> dict[str, Any]:
    """The real days and their index, then names of files and runs for the days before them."""
    table.commit(table.spec.empty())
    for number in range(REAL_DAYS):
        rows = raw_images(number, PHOTOS_A_DAY).to_arrow(compat_level=pl.CompatLevel.oldest())
        write_deltalake(table.open() or "", rows, mode="append")
    with timed(Span()) as span:
        build.maintain(table)
    index, opened = newest(table.objects), table.open()
    assert index is not None and opened is not None
    names = [
        f"day={day_number(-n)}/part-00000-{n:08x}-0000-4000-8000-000000000000-c000.snappy.parquet"
        for n in range(1, days - REAL_DAYS + 1)
    ]
    stats = json.dumps({"numRecords": hashes // days, "minValues": {}, "maxValues": {}, "nullCount": {}})
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=name,
            size=200 * hashes // days,
            partition_values={"day": name[4:14]},
            modification_time=0,
            data_change=True,
            stats=stats,
        )
        for name in names
    ]
    opened.create_write_transaction(actions=actions, mode="append", schema=opened.schema(), partition_by=["day"])
    fresh = table.open()
    assert fresh is not None
    fresh.create_checkpoint()
    # The largest run, beside that of the real days.
    older = _random_entries(_ENTRIES_A_HASH * hashes - index.entries, days - REAL_DAYS)
    runs = (write_run(table.objects, f"{RUNS}generated.run", older), *index.runs)
    put(table.objects, Manifest(index.number + 1, runs, frozenset(data_files(fresh)["path"])))
    return {
        "index_rows_a_second": round(REAL_DAYS * PHOTOS_A_DAY / span.wall_seconds),
        "runs": [run.entries for run in runs],
    }


def _random_entries(count: int, days: int) -> Iterator[Entries]:
    """Sorted uniform keys, of hashes and groups in turn, on the days before the real ones."""
    random = np.random.default_rng(0)
    first_day = (day_number(-days) - date(1970, 1, 1)).days
    parts = -(-count // _ENTRIES_AT_ONCE)
    for n in range(parts):
        size = count * (n + 1) // parts - count * n // parts
        low, high = 2**64 * n // parts, 2**64 * (n + 1) // parts - 1
        keys = np.sort(random.integers(low, high, size, np.uint64, endpoint=True))
        kinds = np.array([Kind.ACCEPTED, Kind.MEMBER], np.int32)[random.integers(0, 2, size)]
        yield Entries(keys, random.integers(first_day, first_day + days, size, np.int32) * np.int32(4) + kinds)


def _measure(table: LakeTable, lake: Lake) -> dict[str, Any]:
    reset_peak_rss()
    at_rest = peak_rss_bytes()
    new_days = [_with_copies(table, REAL_DAYS + n) for n in range(REPEATS)]
    # In the middle of the real days, so that every near duplicate within 35 days exists.
    middle = [REAL_DAYS // 2 - REPEATS // 2 + n for n in range(REPEATS)]
    late = [raw_images(number, 1, first=10**6) for number in middle]
    overwritten = [_overwritten(table, number) for number in middle]
    metrics = {}
    for what, frames in {"a whole day": new_days, "a late photo": late, "an overwritten photo": overwritten}.items():
        metrics[what] = _measured(lake, [partial(lake.table("raw_images").commit, frame) for frame in frames])
    known = table.known_rows()
    hashes = [frame.filter(status=ACCEPTED)["sha256"] for frame in new_days]
    one = [frame["sha256"] for frame in late]
    look_ups = {"of a whole day": hashes, "of a late photo": one}
    for what, hashes_of in look_ups.items():
        metrics[f"the look-up alone, {what}"] = _measured(
            lake, [partial(_days_with, known, sha256) for sha256 in hashes_of]
        )
        metrics[f"the same, {what}, just after it"] = _measured(
            lake, [partial(_days_with, known, sha256) for sha256 in hashes_of], False
        )
    metrics["the check that no bytes are accepted twice"] = _measured(
        lake, [partial(_accepted_twice, table, day_number(n)) for n in middle]
    )
    metrics["opening the table, without which nothing is committed"] = _measured(lake, [table.open] * REPEATS)
    return {"metrics": metrics, "peak_memory_bytes": peak_rss_bytes() - at_rest}


def _days_with(known: KnownRows, sha256: pl.Series) -> pl.DataFrame:
    return known.accepted_with(sha256).select("day").collect()


def _accepted_twice(table: LakeTable, day: date) -> pl.Series:
    return accepted_twice(table.known_rows(), day)


def _with_copies(table: LakeTable, number: int) -> pl.DataFrame:
    """A new day; some of its photos have the bytes of accepted photos of other days."""
    first, last = day_number(number - 30), day_number(number - 30 + COPIED_DAYS - 1)
    copied = table.scan(first, last).filter(pl.col("status") == ACCEPTED).select("sha256").collect()
    rows = raw_images(number, PHOTOS_A_DAY)
    end = rows.height - 200  # before those that are rejected
    hashes = rows["sha256"].to_list()
    hashes[end - COPIES : end] = copied["sha256"].sample(COPIES, seed=number).to_list()
    return rows.with_columns(sha256=pl.Series(hashes))


def _overwritten(table: LakeTable, number: int) -> pl.DataFrame:
    """One photo of the day as it is read again after its object was overwritten."""
    day = day_number(number)
    rows = table.scan(day, day).filter(pl.col("status") == ACCEPTED).sort("key").collect()
    other = raw_images(number, 1, first=2 * 10**6)
    return rows[rows.height // 2].with_columns(etag=other["etag"], sha256=other["sha256"])


def _merge(table: LakeTable) -> dict[str, float]:
    """Merge all runs into one, the largest step of maintenance."""
    index = newest(table.objects)
    assert index is not None
    reset_peak_rss()
    at_rest = peak_rss_bytes()
    with timed(Span()) as span:
        run = write_run(table.objects, f"{RUNS}merged.run", merged(index.runs))
    return {
        "entries": run.entries,
        "bytes": table.objects.size_bytes(run.key) or 0,
        "seconds": span.wall_seconds,
        "cpu_seconds": span.cpu_seconds,
        "peak_memory_bytes": peak_rss_bytes() - at_rest,
    }


def _measured(lake: Lake, calls: Iterable[Callable[[], Any]], is_cold: bool = True) -> Metric:
    """Medians of time, of bytes read from the index, and of bytes that the process read by system calls (not by mapping)."""
    spans, index_bytes, read_bytes = list[Span](), list[int](), list[int]()
    for call in calls:
        if is_cold:
            _evict(lake)
        before = _read_so_far()
        with _counted() as counted, timed(Span()) as span:
            call()
        spans.append(span)
        index_bytes.append(sum(counted))
        read_bytes.append(_read_so_far() - before)
    return {
        "wall_ms": 1000 * statistics.median(span.wall_seconds for span in spans),
        "cpu_ms": 1000 * statistics.median(span.cpu_seconds for span in spans),
        "index_bytes": statistics.median(index_bytes),
        "read_bytes": statistics.median(read_bytes),
    }


def _evict(lake: Lake) -> None:
    """Let the kernel forget the index's pages, as if nobody had arguments it for long."""
    if (folder := lake.objects.folder) is None:
        return
    for path in folder.glob("tables/raw_images/_hash_index/runs/*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Sizes of the parts of runs that are used in the block; bytes between them, read with them, are not counted."""
    sizes, parts_of = list[int](), Run._parts

    def counting(run: Run, dtype: np.dtype, offset_bytes: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(np.unique(numbers).size * dtype.itemsize)
        return parts_of(run, dtype, offset_bytes, numbers)

    Run._parts = counting  # type: ignore[method-assign, assignment]
    try:
        yield sizes
    finally:
        Run._parts = parts_of  # type: ignore[method-assign]


def _read_so_far() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


def _delete_all(lake: Lake) -> None:
    lake.objects.delete([stored.key for stored in lake.objects.list("")])


if __name__ == "__main__":
    main()
