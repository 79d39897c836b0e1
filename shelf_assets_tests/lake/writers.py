"""Work of the processes in the tests of concurrent commits. No test here."""

from __future__ import annotations

import dataclasses
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.maintenance import Policy, maintain
from shelf_assets.lake.schemas import STAGE_RUNS, Column
from shelf_assets_tests.lake.rows import DAY, photo, photos, stage_runs
from shelf_assets_tests.lake.specs import SPECS, table_of

PROCESSES = 8
MEETING_SECONDS = 120

GROWN = dataclasses.replace(
    STAGE_RUNS, columns=STAGE_RUNS.columns | {"energy_joules": Column(pl.Float64, "A new one.", nullable=True)}
)


def together(pool: ProcessPoolExecutor, work: Any, cases: list[tuple]) -> list[Any]:
    """Call `work(*case)` for every case, each in a separate process, all at the same moment."""
    with TemporaryDirectory() as meeting:
        futures: list[Future] = [pool.submit(_met, Path(meeting), len(cases), work, *case) for case in cases]
        return [future.result(timeout=240) for future in futures]


def _met(meeting: Path, processes: int, work: Any, *case: object) -> Any:
    """Call `work(*case)` once all processes have started, so that no process takes two cases."""
    (meeting / str(os.getpid())).touch()
    deadline = time.monotonic() + MEETING_SECONDS
    while sum(1 for _ in meeting.iterdir()) < processes:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{processes} processes did not start within {MEETING_SECONDS} s")
        time.sleep(0.005)
    return work(*case)


def commit_rows(lake: Lake, table: str, rows: pl.DataFrame) -> int:
    return lake.table(table).commit(rows).rows_new


def commit_copies(lake: Lake, writer: int, commits: int, copies: int) -> int:
    """Commit photos on the writer's own days: copies that every writer commits, and one photo with bytes of its own."""
    table, rows_new = lake.table("raw_images"), 0
    for n in range(commits):
        day = DAY + timedelta(days=10 + writer * commits + n)
        rows = [photo(f"copy-{k}", f"commit {n} {k}", day) for k in range(copies)]
        rows_new += table.commit(photos([*rows, photo("own", day, day)])).rows_new
    return rows_new


def commit_runs(lake: Lake, writer: str, commits: int, day: date) -> int:
    """Commit one row of stage_runs at a time; returns how many were new."""
    table = lake.table("stage_runs")
    return sum(table.commit(stage_runs([f"{writer}-{n}"], day)).rows_new for n in range(commits))


def commit_to(lake: Lake, name: str, rows: pl.DataFrame) -> int:
    """Commit rows to a table that only the tests declare."""
    return table_of(lake, SPECS[name]).commit(rows).rows_new


def erase_runs(lake: Lake, run_ids: list[str]) -> int:
    """Erase runs from stage_runs one at a time; returns how many rows were erased."""
    table = lake.table("stage_runs")
    return sum(table.erase(pl.DataFrame({"run_id": [run_id]})).rows for run_id in run_ids)


def erase_from(lake: Lake, name: str, keys: list[pl.DataFrame]) -> int:
    """Erase from a table that only the tests declare, one frame of keys at a time; returns how many rows were erased."""
    table = table_of(lake, SPECS[name])
    return sum(table.erase(each).rows for each in keys)


def maintain_often(lake: Lake, table: str, policy: Policy, times: int) -> int:
    """Maintain a table again and again; returns how many days it packed."""
    done = [maintain(lake.table(table), policy) for _ in range(times)]
    return sum(len(report.packed) for report in done if report is not None)


def commit_grown(lake: Lake, run_id: str, day: date) -> int:
    """Commit a row with a column that the stored table does not have yet."""
    stored = lake.table("stage_runs")
    table = LakeTable(GROWN, stored.uri, stored.storage_options)
    return table.commit(stage_runs([run_id], day).with_columns(energy_joules=pl.lit(1.5))).rows_new
