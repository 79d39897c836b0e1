"""The batcher: single tensors stacked into batches, and batches made ahead of the models that eat them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

Item = TypeVar("Item")


class Pixels(Protocol):
    """One photo's tensor with its identity."""

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
    held: list[Pixels] = []
    for item in items:
        held.append(item)
        if len(held) == batch_images:
            yield _stacked(held)
            held = []
    if held:
        yield _stacked(held)


def _stacked(held: list[Pixels]) -> PixelBatch:
    return PixelBatch(
        [item.image_id for item in held], [item.sha256 for item in held], np.stack([item.pixels for item in held])
    )


def read_ahead(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
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
        source = iter(items)
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - handed over to the consumer, whatever it is
            put(_Failed(error))
        else:
            put(done)
        finally:
            # On this thread, where it ran: a generator that is closed here stops its own pool and keeps what it wrote.
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
