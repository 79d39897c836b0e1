"""The predict loop: batches of tensors through every model that misses them, rows out in chunks. Any model with a call fits.

Reader, mapper, writer around one loop that times reading and each model apart. Knows neither Dagster nor Delta.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")

# One batch ahead: the next is read while the device works, and no more than that is held.
BATCHES_AHEAD = 2


@dataclass
class Task:
    """One model over the photos that miss it.

    `missing` holds (image_id, sha256); `infer` takes pixels (uint8, N × 3 × H × W) and gives N dictionaries of columns;
    `commit` stores a chunk of rows; `timer` is entered around every inference.
    """

    name: str
    missing: set[tuple[str, str]]
    infer: Callable[[np.ndarray], list[dict[str, Any]]]
    commit: Callable[[list[dict[str, Any]]], None]
    timer: Callable[[], Any]
    chunk_images: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def take(self, image_ids: list[str], sha256s: list[str], pixels: np.ndarray) -> int:
        """Infer the photos of this batch that miss this model; returns how many they were."""
        chosen = [i for i, key in enumerate(zip(image_ids, sha256s, strict=True)) if key in self.missing]
        if not chosen:
            return 0
        with self.timer():
            outputs = self.infer(pixels if len(chosen) == len(image_ids) else pixels[chosen])
        inferred_at = datetime.now(UTC)
        for position, columns in zip(chosen, outputs, strict=True):
            identity = {"image_id": image_ids[position], "sha256": sha256s[position], "inferred_at": inferred_at}
            self.rows.append(identity | columns)
        if len(self.rows) >= self.chunk_images:
            self.flush()
        return len(chosen)

    def flush(self) -> None:
        if self.rows:
            rows, self.rows = self.rows, []
            self.commit(rows)


def run_tasks(batches: Iterable[Any], tasks: list[Task], on_batch: Callable[[int], None]) -> None:
    """Pass every batch (image_ids, sha256s, pixels) through all tasks; one read serves every model.

    What has been inferred is committed also when the loop ends early, by an error or by Ctrl-C: nothing paid for is lost.
    """
    with ExitStack() as at_the_end:
        for task in tasks:
            at_the_end.callback(task.flush)  # each one, also when another's table refuses
        for batch in read_ahead(batches, BATCHES_AHEAD):
            for task in tasks:
                task.take(batch.image_ids, batch.sha256s, batch.pixels)
            on_batch(len(batch.image_ids))


def read_ahead(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    """Yield the items while a thread fetches at most `ahead` of them in advance; an error of theirs is raised here."""
    done = object()
    waiting: queue.Queue[Any] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - handed over to the consumer, whatever it is
            put(_Failed(error))
        else:
            put(done)

    threading.Thread(target=fetch, name="read-ahead", daemon=True).start()
    try:
        while (item := waiting.get()) is not done:
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        stopped.set()


@dataclass(frozen=True)
class _Failed:
    error: BaseException
