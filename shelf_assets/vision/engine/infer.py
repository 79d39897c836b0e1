"""The model stage and the writer: each batch through every model that misses it, rows out in chunks. Any model with a call fits.

A model is handed a batch and may answer later: on a device the next batch is on its way while the last one's answers travel
back. Knows neither Dagster nor Delta.
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

# Two batches are made ahead while the models work, and no more are held.
BATCHES_AHEAD = 2
# A second batch is under way before the first one's answers are asked for: a GPU never waits for the rows to be written.
BATCHES_UNDER_WAY = 2

Answer = Callable[[], pl.DataFrame]


@dataclass
class Task:
    """One model over the photos that miss it.

    `missing` holds (image_id, sha256); `submit` takes pixels (uint8, N × 3 × H × W) and gives what waits for their N rows;
    `commit` stores a chunk of rows: image_id, sha256, inferred_at and the model's columns; `timer` is entered around every
    use of the model.
    """

    name: str
    missing: set[tuple[str, str]]
    submit: Callable[[np.ndarray], Answer]
    commit: Callable[[pl.DataFrame], None]
    timer: Callable[[], Any]
    chunk_images: int
    rows: list[pl.DataFrame] = field(default_factory=list)

    def start(self, batch: PixelBatch) -> Callable[[], None] | None:
        """Hand over the photos of this batch that miss this model; what comes back takes their rows in, once called."""
        keys = zip(batch.image_ids, batch.sha256s, strict=True)
        chosen = [position for position, key in enumerate(keys) if key in self.missing]
        if not chosen:
            return None
        with self.timer():
            answer = self.submit(batch.pixels if len(chosen) == len(batch.pixels) else batch.pixels[chosen])
        identity = {
            "image_id": [batch.image_ids[position] for position in chosen],
            "sha256": [batch.sha256s[position] for position in chosen],
        }
        return lambda: self._take(identity, answer)

    def flush(self) -> None:
        if self.rows:
            rows, self.rows = self.rows, []
            self.commit(pl.concat(rows))

    def _take(self, identity: dict[str, list[str]], answer: Answer) -> None:
        with self.timer():
            columns = answer()
        photos = pl.DataFrame(identity)
        if columns.height != photos.height:
            raise ValueError(f"{self.name} answered with {columns.height} rows for {photos.height} photos")
        self.rows.append(photos.hstack(columns).with_columns(inferred_at=pl.lit(datetime.now(UTC))))
        if sum(rows.height for rows in self.rows) >= self.chunk_images:
            self.flush()


def run_tasks(batches: Iterable[PixelBatch], tasks: list[Task], on_batch: Callable[[int], None]) -> None:
    """Pass every batch through all tasks; one read and one decode serve every model.

    What has been inferred is committed also when the loop ends early, by an error or by Ctrl-C: nothing paid for is lost.
    """
    under_way: deque[list[Callable[[], None]]] = deque()

    def finish_all() -> None:
        takes = [take for started in under_way for take in started]
        under_way.clear()
        with ExitStack() as each:
            for take in reversed(takes):
                each.callback(take)  # each one, also when another's answer fails

    with ExitStack() as at_the_end:
        for task in tasks:
            at_the_end.callback(task.flush)  # each one, also when another's table refuses
        at_the_end.callback(finish_all)
        ahead = read_ahead(batches, BATCHES_AHEAD)
        at_the_end.callback(ahead.close)
        for batch in ahead:
            takes: list[Callable[[], None]] = []
            under_way.append(takes)
            for task in tasks:
                if take := task.start(batch):
                    takes.append(take)
            while len(under_way) >= BATCHES_UNDER_WAY:
                for take in under_way.popleft():
                    take()
            on_batch(len(batch.image_ids))
