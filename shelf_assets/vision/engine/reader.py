"""The reader: read many objects concurrently, process them in a thread pool, bounded in bytes, with results in order.

Threads rather than processes: the store's client, the decoders and the resize release the GIL, and tensors need not be copied
between processes (docs/decisions/009). The caller's `get` fetches the bytes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from shelf_assets.machine import cores
from shelf_assets.vision.engine.stage_timer import StageTimer
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets.vision.reasons import Undecodable


class Readable(Protocol):
    """A listed object."""

    @property
    def key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


Listed = TypeVar("Listed", bound=Readable)
Body = TypeVar("Body")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Bounds:
    """Limits: objects in flight, their bytes, objects processed at once; objects above `skip_above_bytes` are not read."""

    in_flight_objects: int
    in_flight_bytes: int
    work_slots: int
    skip_above_bytes: int


def read_each(
    objects: Iterable[Listed],
    get: Callable[[str], Body | None],
    work: Callable[[Listed, Body | None], Result],
    bounds: Bounds,
    timer: StageTimer | None = None,
) -> Iterator[Result]:
    """Read every object once and yield `work(object, body)` in the order given.

    `get` returns an object's bytes, with or without metadata, or None if it is gone. `work` receives None for that, and for
    an object above `skip_above_bytes`. Results wait in order, so a slow consumer holds back reading. Closing the generator
    stops reading.
    """
    stages = timer or StageTimer()
    slots = threading.BoundedSemaphore(bounds.work_slots)
    limit = min(bounds.skip_above_bytes, bounds.in_flight_bytes)

    def read(listed: Listed) -> Result:
        body: Body | None = None
        if listed.size_bytes <= bounds.skip_above_bytes:
            with stages.timed("read"):
                body = get(listed.key)
        with slots, stages.timed("decode"):
            return work(listed, body)

    costs = ((listed, min(listed.size_bytes, limit)) for listed in objects)
    yield from _in_order(costs, read, bounds.in_flight_objects, bounds.in_flight_bytes)


def decode_each(photos: Iterable[bytes], geometry: Geometry) -> Iterator[np.ndarray | Undecodable]:
    """Tensors (uint8, 3 × size × size) of photos in memory, in order; Undecodable in place of one that cannot be decoded.

    For training, for search by picture and for single photos: pool and pixels are the same as for a day's photos.
    """

    def tensor(data: bytes) -> np.ndarray | Undecodable:
        try:
            return to_tensor(data, geometry)
        except Undecodable as failed:
            return failed

    # One photo per core is in flight, so their bytes need no bound.
    yield from _in_order(((data, 0) for data in photos), tensor, concurrency=cores(), max_bytes=0)


def _in_order(
    items: Iterable[tuple[Item, int]], work: Callable[[Item], Result], concurrency: int, max_bytes: int
) -> Iterator[Result]:
    """Yield `work` of each (item, its bytes) in the order given; at most `concurrency` items and `max_bytes` are in flight."""
    waiting: deque[tuple[Future[Result], int]] = deque()
    held_bytes = 0
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="read")
    try:
        for item, cost_bytes in items:
            while waiting and (len(waiting) >= concurrency or held_bytes + cost_bytes > max_bytes):
                future, freed_bytes = waiting.popleft()
                yield future.result()
                held_bytes -= freed_bytes
            waiting.append((pool.submit(work, item), cost_bytes))
            held_bytes += cost_bytes
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
