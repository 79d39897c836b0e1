"""The reader and its pool: many objects in flight, few worked on at a time, bounded in bytes, results in order.

Threads, not processes: the store's client, the decoders and the resize all release the interpreter's lock, and a tensor that
stays in its process is never copied to another (docs/decisions/009). Where bytes come from is the caller's `get`.
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
    """An object as it was listed."""

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
    """How much may be under way: objects read at once, bytes held, objects worked on at once; larger ones are not read."""

    in_flight_objects: int
    in_flight_bytes: int
    work_slots: int
    skip_above_bytes: int


def read_each(
    objects: Iterable[Listed],
    get: Callable[[str], Body | None],
    work: Callable[[Listed, Body | None], Result],
    bounds: Bounds,
    clock: StageTimer | None = None,
) -> Iterator[Result]:
    """Read every object once and yield `work(object, body)` in the order given.

    `get` gives an object's bytes, alone or with what is known of them, or None when it has vanished; an object larger than
    `skip_above_bytes` is given to `work` with None, unread. Results wait in order, so a slow consumer stops the reading.
    Closing the generator stops it too.
    """
    times = clock or StageTimer()
    slots = threading.BoundedSemaphore(bounds.work_slots)
    limit = min(bounds.skip_above_bytes, bounds.in_flight_bytes)

    def read(listed: Listed) -> Result:
        body: Body | None = None
        if listed.size_bytes <= bounds.skip_above_bytes:
            with times.timed("read"):
                body = get(listed.key)
        with slots, times.timed("decode"):
            return work(listed, body)

    costs = ((listed, min(listed.size_bytes, limit)) for listed in objects)
    yield from _in_order(costs, read, bounds.in_flight_objects, bounds.in_flight_bytes)


def decode_each(photos: Iterable[bytes], geometry: Geometry) -> Iterator[np.ndarray | Undecodable]:
    """Tensors (uint8, 3 × size × size) of photos in memory, in order; one that cannot be decoded is its Undecodable.

    For training, for search by picture and for single photos: the same pool and the same pixels as a day's pass.
    """

    def tensor(data: bytes) -> np.ndarray | Undecodable:
        try:
            return to_tensor(data, geometry)
        except Undecodable as failed:
            return failed

    # As many photos are held as cores decode: few enough for their bytes not to matter.
    yield from _in_order(((data, 0) for data in photos), tensor, at_once=cores(), at_once_bytes=0)


def _in_order(
    items: Iterable[tuple[Item, int]], work: Callable[[Item], Result], at_once: int, at_once_bytes: int
) -> Iterator[Result]:
    """`work` of each (item, bytes it holds) in a pool, results in the order given; at most so many, and so many bytes, at once."""
    waiting: deque[tuple[Future[Result], int]] = deque()
    held_bytes = 0
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="read")
    try:
        for item, cost_bytes in items:
            while waiting and (len(waiting) >= at_once or held_bytes + cost_bytes > at_once_bytes):
                future, freed_bytes = waiting.popleft()
                yield future.result()
                held_bytes -= freed_bytes
            waiting.append((pool.submit(work, item), cost_bytes))
            held_bytes += cost_bytes
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
