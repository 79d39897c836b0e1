"""The tables as days grow: what a commit, a look-up and a query cost at 10, 90 and 365 days of 5,000 photos. `--help`.

Rows are generated (`year_of_rows`), commits and reads are the product's own. Medians; one process; a folder on disk.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from benchmarks.big_tables_page import page
from benchmarks.meters import Span, machine, peak_rss_bytes, reset_peak_rss, timed
from benchmarks.photos import REPO_ROOT
from benchmarks.year_of_rows import (
    build_days,
    classifications,
    clip_embeddings,
    day_number,
    raw_images,
    stage_runs,
)
from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.duckdb_delta import prepare_connection
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, accepted_twice
from shelf_assets.lake.maintenance import MaintenanceReport, Policy, maintain, write_checkpoint
from shelf_assets.lake.schemas import RAW_IMAGES, STAGE_RUNS
from shelf_assets.observe.photo_history import photo_history
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS
from shelf_assets.pipeline.stages.clip_embeddings import CLIP_EMBEDDINGS
from shelf_assets.registry import STAGE_NAMES, tables

REPEATS = 5
POINTS = (10, 90, 365)
SMALL_APPENDS = 100
LOG_ENTRIES = (100, 1000, 3000)
_BYTES_PER_PHOTO = 2_600  # a vector is 2,162 of them
_PREDICTED = {CLASSIFICATIONS.name: classifications, CLIP_EMBEDDINGS.name: clip_embeddings}
# No other process reads these tables, so unneeded files may be deleted at once.
_POLICY = Policy(small_file_bytes=32_000_000, keep=timedelta(0))

Metric = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.big_tables", description=__doc__)
    parser.add_argument("--days", type=int, default=365, choices=range(REPEATS + 1, 367), metavar="6-366")
    parser.add_argument("--photos", type=int, default=5_000, help="photos a day (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    arguments = parser.parse_args()
    needed_bytes = arguments.days * arguments.photos * _BYTES_PER_PHOTO
    with tempfile.TemporaryDirectory(prefix="shelf-big-tables-") as folder:
        if shutil.disk_usage(folder).free < 1.2 * needed_bytes:
            parser.error(f"{folder} has no room for {needed_bytes / 1e9:.1f} GB; set TMPDIR, or ask for fewer --days")
        result = run(Path(folder), arguments.days, arguments.photos)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "tables.json").write_text(json.dumps(result, indent=1, default=str) + "\n")
    of_hashes = arguments.out / "hash-lookup.json"
    text = page(result, json.loads(of_hashes.read_text()) if of_hashes.exists() else None)
    (arguments.out / "tables.md").write_text(text)
    print(text)


def run(folder: Path, days: int, photos: int) -> dict[str, Any]:
    begun = time.monotonic()

    def progress(message: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {message}", flush=True)

    lake = Lake((folder / "lake").as_uri())
    result: dict[str, Any] = {"machine": machine(), "days": days, "photos_a_day": photos, "repeats": REPEATS}
    result["by_days"] = {}
    there = 0
    for point in [*(point for point in POINTS if point < days), days]:
        # The last days before each point are real commits, which are measured.
        build_days(lake, range(there, point - REPEATS), photos, progress)
        commits = _commits(lake, point - REPEATS, photos)
        result["by_days"][point] = commits | _reads(lake, point, photos)
        there = point
        progress(f"measured at {point} days")
    result["bytes"] = {name: _folder_bytes(folder / "lake" / "tables" / name) for name in tables()}
    result["narrow"] = _narrow(lake)
    result["maintenance"] = _maintain_all(lake)
    progress("maintained every table")
    result["small_appends"] = _small_appends(lake, days - 1)
    progress("measured a day of small appends")
    result["log"] = _log(folder / "log")
    result["seconds"] = round(time.monotonic() - begun)
    return result


def _commits(lake: Lake, first: int, photos: int) -> dict[str, Metric]:
    """REPEATS new days from `first` on; then late, and overwritten, photos of as many old days."""
    new_days = [raw_images(first + n, photos) for n in range(REPEATS)]
    old_days = [first * (n + 1) // (REPEATS + 1) for n in range(REPEATS)]
    late = [raw_images(number, 1, first=10**6 + first + n) for n, number in enumerate(old_days)]
    overwritten = [_overwritten(lake, number, mark=first) for number in old_days]
    metrics: dict[str, Metric] = {}
    for what, frames in {"a whole day": new_days, "a late photo": late, "an overwritten photo": overwritten}.items():
        for name in (RAW_IMAGES.name, *_PREDICTED):
            rows = [_PREDICTED[name](frame) if name in _PREDICTED else frame for frame in frames]
            metrics[f"{what}: {name}"] = _measured(partial(lake.table(name).commit, frame) for frame in rows)
    for number in range(first, first + REPEATS):
        for stage in STAGE_NAMES:
            lake.table(STAGE_RUNS.name).commit(stage_runs(number, f"run-{number}", photos, [stage]))
    return metrics


def _overwritten(lake: Lake, number: int, mark: int) -> pl.DataFrame:
    """The row of one photo of the day after its object was overwritten."""
    day = day_number(number)
    rows = lake.table(RAW_IMAGES.name).scan(day, day).filter(pl.col("status") == ACCEPTED).sort("key").collect()
    one, other = rows[rows.height // 2], raw_images(number, 1, first=2 * 10**6 + mark)
    return one.with_columns(etag=other["etag"], sha256=other["sha256"])


def _reads(lake: Lake, days: int, photos: int) -> dict[str, Metric]:
    """Operations that read only."""
    objects = lake.table(RAW_IMAGES.name)
    numbers = [days * (n + 1) // (REPEATS + 1) for n in range(REPEATS)]
    ids = [_one(lake, number, "image_id") for number in numbers]
    hashes = [_one(lake, number, "sha256") for number in numbers]
    late = [raw_images(number, 1, first=3 * 10**6) for number in numbers]
    new_day = raw_images(days, photos)
    month, connection = max(0, days - 30), _duckdb(lake)
    metrics = {f"open: {name}": _measured(_times(lake.table(name).open)) for name in tables()}
    metrics |= {
        "look-up of duplicates: a late photo": _measured(
            partial(objects.rule, rows, objects.known_rows(), RAW_IMAGES) for rows in late
        ),
        "look-up of duplicates: a whole day": _measured(
            _times(lambda: objects.rule(new_day, objects.known_rows(), RAW_IMAGES))
        ),
        "check that no bytes are accepted twice": _measured(
            partial(_accepted_twice, objects, day_number(number)) for number in numbers
        ),
        "shelf show: one photo in every table": _measured(partial(photo_history, lake, image_id) for image_id in ids),
        "one vector by its photo's bytes, day known": _measured(
            partial(_vector, lake, sha256, day_number(number)) for sha256, number in zip(hashes, numbers, strict=True)
        ),
        "one vector by its photo's bytes, day unknown": _measured(partial(_vector, lake, sha256) for sha256 in hashes),
    }
    for span, first in {"the last 30 days": month, "all days": 0}.items():
        window = (day_number(first), day_number(days - 1))
        metrics[f"labels by day, DuckDB: {span}"] = _query(connection, _labels_sql(lake, window))
        metrics[f"labels by day, polars: {span}"] = _measured(_times(partial(_labels_polars, lake, window)))
    return metrics


def _one(lake: Lake, number: int, column: str) -> str:
    day = day_number(number)
    return lake.table(CLASSIFICATIONS.name).scan(day, day).select(pl.col(column).first()).collect().item()


def _accepted_twice(table: LakeTable, day: date) -> pl.Series:
    return accepted_twice(table.known_rows(), day)


def _vector(lake: Lake, sha256: str, day: date | None = None) -> pl.DataFrame:
    """Filters by a column whose statistics skip no file; image_id begins with its time, so its statistics do."""
    rows = lake.table(CLIP_EMBEDDINGS.name).scan(day, day).filter(pl.col("sha256") == sha256)
    return rows.select("embedding").collect()


def _labels_sql(lake: Lake, window: tuple[date, date]) -> str:
    """The query of staging and `daily_label_popularity`, without the shares."""
    within = f"between date '{window[0]}' and date '{window[1]}'"
    return f"""
        select predictions.day, model_id, label, count(*) as images, avg(confidence) as mean_confidence
        from {_table_sql(lake, CLASSIFICATIONS.name)} as predictions
        inner join {_table_sql(lake, RAW_IMAGES.name)} as photos
            on photos.day = predictions.day and photos.image_id = predictions.image_id
            and photos.sha256 = predictions.sha256
        where photos.status = '{ACCEPTED}' and predictions.day {within} and photos.day {within}
        group by all"""


def _labels_polars(lake: Lake, window: tuple[date, date]) -> pl.DataFrame:
    photos = lake.table(RAW_IMAGES.name).scan(*window).filter(pl.col("status") == ACCEPTED)
    labels = (
        lake.table(CLASSIFICATIONS.name)
        .scan(*window)
        .join(photos.select("day", "image_id", "sha256"), on=["day", "image_id", "sha256"])
    )
    counted = labels.group_by("day", "model_id", "label").agg(pl.len(), pl.col("confidence").mean())
    return counted.collect(engine="streaming")


def _table_sql(lake: Lake, name: str) -> str:
    return f"delta_scan('{lake.table(name).uri}')"


def _duckdb(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection without a cache of files. Loading its extension is start-up."""
    connection = duckdb.connect()
    prepare_connection(connection, lake.url, {})
    connection.execute("SET enable_external_file_cache = false")
    return connection


def _query(connection: duckdb.DuckDBPyConnection, sql: str) -> Metric:
    return _measured(_times(partial(_fetch, connection, sql)))


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return connection.execute(sql).fetchall()


def _narrow(lake: Lake) -> dict[str, Any]:
    """Bytes that DuckDB reads of the table of vectors, with and without a vector in the query, and of the narrow table."""
    connection = _duckdb(lake)
    vectors, narrow = _table_sql(lake, CLIP_EMBEDDINGS.name), _table_sql(lake, CLASSIFICATIONS.name)
    arguments = {
        "photos by day, of the table of vectors": f"select day, model_id, count(image_id) from {vectors} group by all",
        "photos by day, of the narrow table": f"select day, model_id, count(image_id) from {narrow} group by all",
        "a number of every vector": f"select sum(embedding[1]) from {vectors}",
    }
    return {
        what: {"read_bytes": _bytes_read(partial(_fetch, connection, sql))} | _query(connection, sql)
        for what, sql in arguments.items()
    }


def _bytes_read(work: Callable[[], Any]) -> int:
    def so_far() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))

    before = so_far()
    work()
    return so_far() - before


def _small_appends(lake: Lake, number: int) -> dict[str, Any]:
    """A day of many small appends, read before and after maintenance."""
    day, photos_each = day_number(number), 10
    metrics: dict[str, Any] = {"appends": SMALL_APPENDS, "photos_each": photos_each}
    for name, predicted in _PREDICTED.items():
        table = lake.table(name)
        for n in range(SMALL_APPENDS):
            table.commit(predicted(raw_images(number, photos_each, first=4 * 10**6 + photos_each * n)))
        before = _of_a_day(lake, name, day)
        report, span = _maintained(lake, name)
        after = _of_a_day(lake, name, day)
        metrics[name] = {"before": before, "after": after, "seconds": span.wall_seconds, "maintenance": report}
    return metrics


def _of_a_day(lake: Lake, name: str, day: date) -> dict[str, Metric]:
    sql = f"select model_id, count(*) from {_table_sql(lake, name)} where day = date '{day}' group by all"
    return {
        "read the day, polars": _measured(_times(lambda: lake.table(name).scan(day, day).collect())),
        "count the day, DuckDB": _query(_duckdb(lake), sql),
    }


def _maintain_all(lake: Lake) -> dict[str, Any]:
    """Maintenance of every table after the year and the measured commits; then again, when nothing is due."""
    metrics: dict[str, Any] = {}
    cost = f"select day, stage, sum(wall_seconds) from {_table_sql(lake, STAGE_RUNS.name)} group by all"
    costs_before = _query(_duckdb(lake), cost)
    for name in tables():
        reset_peak_rss()
        at_rest = peak_rss_bytes()
        report, span = _maintained(lake, name)
        peak = peak_rss_bytes() - at_rest
        _, again = _maintained(lake, name)
        metrics[name] = report | {
            "seconds": span.wall_seconds,
            "cpu_seconds": span.cpu_seconds,
            "peak_memory_bytes": peak,
            "again_seconds": again.wall_seconds,
        }
    costs_after = _query(_duckdb(lake), cost)
    return {"tables": metrics, "cost of every day, DuckDB": {"before": costs_before, "after": costs_after}}


def _maintained(lake: Lake, name: str) -> tuple[dict[str, Any], Span]:
    with timed(Span()) as span:
        report = maintain(lake.table(name), _POLICY)
    assert report is not None
    return _summary(report), span


def _summary(report: MaintenanceReport) -> dict[str, Any]:
    return {
        "before": asdict(report.before),
        "after": asdict(report.after),
        "packed_days": len(report.packed),
        "rows_read_back": sum(packed.rows for packed in report.packed),
        "skipped": report.skipped,
        "vacuumed_files": len(report.vacuumed),
        "vacuumed_bytes": report.vacuumed_bytes,
        "did_nothing": report.did_nothing,
    }


def _log(folder: Path) -> dict[str, Any]:
    """Opening a table of many commits: without any checkpoint, and with one.

    The commits are copies in the format of delta-rs, each with a file name of its own: delta-rs itself would read all earlier
    commits for each new one.
    """
    table = Lake(folder.as_uri()).table(STAGE_RUNS.name)
    for run_id in ("first", "second"):
        table.commit(stage_runs(0, run_id, 1, ["raw_images"]))
    log = folder / "tables" / STAGE_RUNS.name / "_delta_log"
    newest = max(log.glob("*.json"))
    text, metrics = newest.read_text(), {}
    (name,) = re.findall(r"part-[^\"]*\.parquet", text)
    written = int(newest.stem) + 1
    for entries in LOG_ENTRIES:
        for version in range(written, entries):
            (log / f"{version:020}.json").write_text(text.replace(name, f"part-{version}.parquet"))
        written = entries
        metrics[f"{entries:,} commits, no checkpoint"] = _measured(_times(table.open))
    write_checkpoint(table)
    metrics[f"{LOG_ENTRIES[-1]:,} commits, with a checkpoint"] = _measured(_times(table.open))
    return metrics


def _times(work: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
    return (work for _ in range(REPEATS))


def _measured(calls: Iterable[Callable[[], Any]]) -> Metric:
    """Medians over calls that do the same kind of work."""
    spans = []
    for call in calls:
        with timed(Span()) as span:
            call()
        spans.append(span)
    wall, cpu = ([getattr(span, name) for span in spans] for name in ("wall_seconds", "cpu_seconds"))
    return {
        "wall_ms": round(1000 * statistics.median(wall), 1),
        "cpu_ms": round(1000 * statistics.median(cpu), 1),
        "repeats": len(spans),
    }


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
