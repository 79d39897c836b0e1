"""Where strangers' bytes are decoded: processes whose death, hang or greed costs one photo and nothing else.

`Decoders` keeps a few of them (pebble); each is bounded in memory by the system and in time by its parent, which kills it
and starts another. Where every call has a sandbox of its own, as on Lambda, `examine_here` is enough.
"""

from __future__ import annotations

import asyncio
import dataclasses
import multiprocessing
import resource
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from typing import Protocol, Self

from pebble import ProcessExpired, ProcessPool

from shelf_assets.intake.limits import Limits
from shelf_assets.intake.rebuild import Accepted, Refused, examine
from shelf_assets.intake.settings import IntakeSettings


@dataclass(frozen=True)
class Examination:
    """What is asked of every photo at a door."""

    limits: Limits
    jpeg_quality: int
    decode_seconds: float
    decode_bytes: int


def examination(settings: IntakeSettings) -> Examination:
    """What the settings ask of every photo at a door."""
    return Examination(
        limits=dataclasses.replace(settings.photo_limits, max_adult_score=settings.max_adult_score),
        jpeg_quality=settings.jpeg_quality,
        decode_seconds=settings.decode_seconds,
        decode_bytes=settings.decode_memory_bytes,
    )


class Examiner(Protocol):
    """Judges and rebuilds a photo; answers, whatever the bytes are."""

    async def examine(self, data: bytes) -> Accepted | Refused: ...


class Decoders:
    """`count` decoder processes, each kept for many photos. Use it as a context manager."""

    def __init__(self, asked: Examination, count: int) -> None:
        self._asked, self._count = asked, count
        self._pool: ProcessPool | None = None

    def __enter__(self) -> Self:
        self._pool = ProcessPool(
            max_workers=self._count,
            # A leak in a decoder, of memory or of sense, ends here.
            max_tasks=5_000,
            initializer=_confine,
            initargs=(self._asked.decode_bytes,),
            # Not forked: the parent has threads, and its memory is not for a decoder to see.
            context=multiprocessing.get_context("spawn"),
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    @property
    def ready(self) -> bool:
        return self._pool is not None and self._pool.active

    async def examine(self, data: bytes) -> Accepted | Refused:
        """The photo rebuilt, or why not. Raises RuntimeError where the pool is closed."""
        if self._pool is None:
            raise RuntimeError("the decoders are not running")
        asked = self._asked
        job = self._pool.schedule(examine, args=(data, asked.limits, asked.jpeg_quality), timeout=asked.decode_seconds)
        try:
            return await asyncio.wrap_future(job)
        except TooSlow:
            return Refused("too_slow", f"not decoded within {asked.decode_seconds:g} seconds")
        except ProcessExpired as died:
            return Refused("decoder_died", f"the decoder ended with exit code {died.exitcode}")
        except MemoryError:
            return Refused("decoder_died", f"more than {asked.decode_bytes >> 20:,} MiB to decode")


class ExaminerHere:
    """Examines in this process, where it is a sandbox already: on Lambda, and in tests."""

    def __init__(self, asked: Examination) -> None:
        self._asked = asked

    async def examine(self, data: bytes) -> Accepted | Refused:
        return examine(data, self._asked.limits, self._asked.jpeg_quality)


def _confine(decode_bytes: int) -> None:
    """Bound what this process may take beyond what it is: the system then fails the allocation, not the machine."""
    import shelf_assets.vision.preprocess  # noqa: F401 - loaded before its size is taken

    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        here_bytes = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here_bytes + decode_bytes, here_bytes + decode_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
