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
from shelf_assets.vision.engine.clock import Clock
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets.vision.reasons import Undecodable


class Readable(Protocol):
    """An object as it was listed."""

    @property
    def key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


Listed = TypeVar("Listed", bound=Readable)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Bounds:
    """How much may be under way: objects read at once, bytes held, objects worked on at once; larger ones are not read."""

    in_flight_objects: int = 64
    in_flight_bytes: int = 256_000_000
    work_slots: int = cores()
    skip_above_bytes: int = 25_000_000


def read_each(
    objects: Iterable[Listed],
    get: Callable[[str], bytes | None],
    work: Callable[[Listed, bytes | None], Result],
    bounds: Bounds,
    clock: Clock | None = None,
) -> Iterator[Result]:
    """Read every object once and yield `work(object, bytes)` in the order given.

    `get` gives an object's bytes, or None when it has vanished; an object larger than `skip_above_bytes` is given to `work`
    with None, unread. Results wait in order, so a slow consumer stops the reading. Closing the generator stops it too.
    """
    times = clock or Clock()
    slots = threading.BoundedSemaphore(bounds.work_slots)
    limit = min(bounds.skip_above_bytes, bounds.in_flight_bytes)

    def read(listed: Listed) -> Result:
        data: bytes | None = None
        if listed.size_bytes <= bounds.skip_above_bytes:
            with times.timed("read"):
                data = get(listed.key)
        with slots, times.timed("decode"):
            return work(listed, data)

    waiting: deque[tuple[Future[Result], int]] = deque()
    held_bytes = 0
    pool = ThreadPoolExecutor(bounds.in_flight_objects, thread_name_prefix="read")
    try:
        for listed in objects:
            cost = min(listed.size_bytes, limit)
            while waiting and (len(waiting) >= bounds.in_flight_objects or held_bytes + cost > bounds.in_flight_bytes):
                future, freed = waiting.popleft()
                yield future.result()
                held_bytes -= freed
            waiting.append((pool.submit(read, listed), cost))
            held_bytes += cost
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _InMemory:
    key: str
    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)


def decode_each(
    photos: Iterable[bytes], geometry: Geometry, bounds: Bounds | None = None
) -> Iterator[np.ndarray | Undecodable]:
    """Tensors (uint8, 3 × size × size) of photos in memory, in order; one that cannot be decoded is its Undecodable.

    For training, for search by picture and for single photos: the same pool and the same pixels as a day's pass.
    """

    def tensor(photo: _InMemory, data: bytes | None) -> np.ndarray | Undecodable:
        try:
            return to_tensor(photo.data, geometry)
        except Undecodable as failed:
            return failed

    listed = (_InMemory(str(number), data) for number, data in enumerate(photos))
    # The bytes are here already: nothing is read, so nothing is too large to be.
    yield from read_each(listed, lambda key: b"", tensor, bounds or Bounds())
