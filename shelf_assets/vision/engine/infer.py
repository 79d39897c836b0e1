"""Inference and writing: pass each batch to every model that needs it, and write rows in chunks. No Dagster, no Delta here.

A model may return its results later: a GPU computes the next batch while the results of the last one are copied back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from shelf_assets.vision.engine.batches import PixelBatch, read_ahead

# Batches that are prepared while the models work; no more are held in memory.
BATCHES_AHEAD = 2
# The next batch is submitted before the results of the last one are collected, so that a GPU never waits for the writer.
BATCHES_IN_FLIGHT = 2

PendingRows = Callable[[], pl.DataFrame]


@dataclass
class Task:
    """One model, and the photos that it has not processed yet.

    `missing` holds (image_id, sha256). `submit` takes pixels (uint8, N × 3 × H × W) and returns a function that waits for
    their N rows. `commit` stores a chunk of rows: image_id, sha256, inferred_at and the model's columns. `timer` is entered
    around every use of the model.
    """

    name: str
    missing: set[tuple[str, str]]
    submit: Callable[[np.ndarray], PendingRows]
    commit: Callable[[pl.DataFrame], None]
    timer: Callable[[], Any]
    chunk_images: int
    rows: list[pl.DataFrame] = field(default_factory=list)

    def start(self, batch: PixelBatch) -> Callable[[], None] | None:
        """Submit the photos of this batch that the model needs; returns a function that collects their rows, or None."""
        keys = zip(batch.image_ids, batch.sha256s, strict=True)
        chosen = [position for position, key in enumerate(keys) if key in self.missing]
        if not chosen:
            return None
        with self.timer():
            pending = self.submit(batch.pixels if len(chosen) == len(batch.pixels) else batch.pixels[chosen])
        identity = {
            "image_id": [batch.image_ids[position] for position in chosen],
            "sha256": [batch.sha256s[position] for position in chosen],
        }
        return lambda: self._collect(identity, pending)

    def flush(self) -> None:
        if self.rows:
            rows, self.rows = self.rows, []
            self.commit(pl.concat(rows))

    def _collect(self, identity: dict[str, list[str]], pending: PendingRows) -> None:
        with self.timer():
            columns = pending()
        photos = pl.DataFrame(identity)
        if columns.height != photos.height:
            raise ValueError(f"{self.name} returned {columns.height} rows for {photos.height} photos")
        self.rows.append(photos.hstack(columns).with_columns(inferred_at=pl.lit(datetime.now(UTC))))
        if sum(rows.height for rows in self.rows) >= self.chunk_images:
            self.flush()


def run_tasks(batches: Iterable[PixelBatch], tasks: list[Task], on_batch: Callable[[int], None]) -> None:
    """Pass every batch to all tasks; one read and one decode serve every model.

    Finished results are committed even if the loop ends early, by an error or by Ctrl-C.
    """
    in_flight: deque[list[Callable[[], None]]] = deque()

    def collect_all() -> None:
        collectors = [collect for started in in_flight for collect in started]
        in_flight.clear()
        with ExitStack() as each:
            for collect in reversed(collectors):
                each.callback(collect)  # an ExitStack runs all of them, even if one fails

    with ExitStack() as at_the_end:
        for task in tasks:
            at_the_end.callback(task.flush)
        at_the_end.callback(collect_all)
        ahead = read_ahead(batches, BATCHES_AHEAD)
        at_the_end.callback(ahead.close)
        for batch in ahead:
            collectors: list[Callable[[], None]] = []
            in_flight.append(collectors)
            for task in tasks:
                if collect := task.start(batch):
                    collectors.append(collect)
            while len(in_flight) >= BATCHES_IN_FLIGHT:
                for collect in in_flight.popleft():
                    collect()
            on_batch(len(batch.image_ids))
