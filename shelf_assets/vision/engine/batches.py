"""The batcher: stack single tensors into batches, and read ahead of the models in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

Item = TypeVar("Item")


class Pixels(Protocol):
    """One photo's tensor with its key."""

    @property
    def image_id(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def pixels(self) -> np.ndarray: ...


@dataclass(frozen=True)
class PixelBatch:
    """`pixels`: uint8, N × 3 × size × size, in the order of `image_ids` and `sha256s`."""

    image_ids: list[str]
    sha256s: list[str]
    pixels: np.ndarray


def batched(items: Iterable[Pixels], batch_images: int) -> Iterator[PixelBatch]:
    """Stack tensors into batches of `batch_images`; the last may be smaller."""
    pending: list[Pixels] = []
    for item in items:
        pending.append(item)
        if len(pending) == batch_images:
            yield _stacked(pending)
            pending = []
    if pending:
        yield _stacked(pending)


def _stacked(items: list[Pixels]) -> PixelBatch:
    return PixelBatch(
        [item.image_id for item in items], [item.sha256 for item in items], np.stack([item.pixels for item in items])
    )


def read_ahead(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """Yield the items while a thread fetches at most `ahead` of them in advance; re-raises an error of the source."""
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
        source = iter(items)
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - any error is re-raised in the consumer's thread
            put(_Failed(error))
        else:
            put(done)
        finally:
            # Closed in the thread that ran it, so that a generator shuts down its own pool and saves its work.
            close = getattr(source, "close", None)
            if close:
                close()

    fetcher = threading.Thread(target=fetch, name="read-ahead", daemon=True)
    fetcher.start()
    try:
        while (item := waiting.get()) is not done:
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        stopped.set()
        fetcher.join()


@dataclass(frozen=True)
class _Failed:
    error: BaseException
