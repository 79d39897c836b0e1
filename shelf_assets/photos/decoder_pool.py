"""Where strangers' bytes are decoded: processes whose death, hang or greed costs one photo and nothing else.

`DecoderPool` keeps a few of them (pebble); each is bounded in memory by the system and in time by its parent, which kills it
and starts another. Where every call has a sandbox of its own, as on Lambda, `InProcessSanitizer` is enough.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import multiprocessing
import os
import resource
import signal
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol, Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import Photo, has_too_many_bytes
from shelf_assets.photos.sanitizer import Accepted, Refused, sanitize
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.photos.shared_bytes import SharedBytes

_log = logging.getLogger(__name__)
# Linux keeps there how many pages a process has; elsewhere a bound on its address space is not kept either.
_OWN_PAGES = Path("/proc/self/statm")
# What a process may take to start and to take on its photo; a second or two where the machine is busy.
_START_SECONDS = 30
_TRIES = 2


@dataclass(frozen=True)
class SanitizerOptions:
    """What is asked of every photo at a door."""

    limits: Limits
    jpeg_quality: int
    decode_seconds: float
    decode_bytes: int


def sanitizer_options(photos: PhotoSettings) -> SanitizerOptions:
    """Options for uploads: the graph's limits, plus moderation, and only the configured formats."""
    return SanitizerOptions(
        limits=dataclasses.replace(photos.limits, formats=photos.formats, max_adult_score=photos.max_adult_score),
        jpeg_quality=photos.jpeg_quality,
        decode_seconds=photos.decode_seconds,
        decode_bytes=photos.decode_memory_bytes,
    )


class ImageSanitizer(Protocol):
    """Judges and rebuilds a photo; answers, whatever the bytes are."""

    async def sanitize(self, data: bytes) -> Accepted | Refused: ...


class DecodersUnavailable(RuntimeError):
    """No decoder answers. The photo is not at fault, and may be sent again."""


class DecoderPool:
    """`count` decoder processes, each kept for many photos. Use it as a context manager."""

    def __init__(self, asked: SanitizerOptions, count: int) -> None:
        self._asked, self._count = asked, count
        self._threads: ThreadPoolExecutor | None = None
        self._all: list[_Decoder] = []
        self._free: SimpleQueue[_Decoder] = SimpleQueue()

    def __enter__(self) -> Self:
        if not _OWN_PAGES.exists():
            _log.warning("DecoderPool are bounded in time alone: this system has no %s to measure them by.", _OWN_PAGES)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="decoder")
        self._all = [_Decoder(self._asked) for _ in range(self._count)]
        self._free = SimpleQueue()
        for decoder in self._all:
            self._free.put(decoder)
        return self

    def __exit__(self, *_: object) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
            for decoder in self._all:
                decoder.close()
            threads.shutdown()

    @property
    def ready(self) -> bool:
        return self._threads is not None

    async def sanitize(self, data: bytes) -> Accepted | Refused:
        """The photo rebuilt, or why not. Raises DecodersUnavailable.

        Who stops waiting stops nothing: else a sender who hangs up in time would cost a process each time.
        """
        if self._threads is None:
            raise DecodersUnavailable("the decoders are closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._sanitized, data)

    def _sanitized(self, data: bytes) -> Accepted | Refused:
        decoder = self._free.get()  # as many threads as decoders: there is one
        try:
            return decoder.sanitize(data)
        finally:
            self._free.put(decoder)


class _NeverBegan(Exception):
    """The process died before it took the photo; killed while idle, most likely, and found out only now."""


class _Decoder:
    """One process, for one photo at a time; each has a pool of its own.

    Within one pool decoders share a pipe and its locks: one that is killed with a lock in its hand, or halfway into a
    message, leaves none to the others, and one that is killed while idle ends the pool.
    """

    def __init__(self, asked: SanitizerOptions) -> None:
        self._asked, self._closed = asked, False
        self._job: ProcessFuture[tuple[Accepted, int] | Refused] | None = None
        # A pool is ended once: ending closes its pipes, and who does so again may close a file of somebody else's.
        self._ending = threading.Lock()
        self._pool, self._shared = self._started()

    def sanitize(self, data: bytes) -> Accepted | Refused:
        # One that grew after its size was asked for: there is no room for it.
        if (why := has_too_many_bytes(Photo(data), self._asked.limits)) is not None:
            return Refused("too_large", why)
        for _ in range(_TRIES):
            try:
                return self._tried(data)
            except _NeverBegan:
                self._replace()
        raise DecodersUnavailable(
            f"a decoder process died, or did not start within {_START_SECONDS} seconds, {_TRIES} times"
        )

    def _tried(self, data: bytes) -> Accepted | Refused:
        asked = self._asked
        try:
            job = self._pool.schedule(
                _sanitize_shared, args=(self._shared.put(data), asked), timeout=asked.decode_seconds
            )
        except RuntimeError:  # how the library says that the pool is no more
            raise _NeverBegan from None
        self._job = job
        if self._closed:
            job.cancel()
        try:
            # The library's own time runs from when the process takes the photo.
            sanitized = job.result(asked.decode_seconds + _START_SECONDS)
        except BrokenProcessPool:
            raise _NeverBegan from None
        except TooSlow:
            if not job.done():
                raise _NeverBegan from None
            return Refused("too_slow", f"not decoded within {asked.decode_seconds:g} seconds")
        except ProcessExpired as died:
            self._replace()
            return Refused("decoder_died", f"the decoder ended with exit code {died.exitcode}")
        except MemoryError:
            return Refused("decoder_died", f"more than {asked.decode_bytes >> 20:,} MiB to decode")
        except CancelledError:
            raise DecodersUnavailable("the decoders are closed") from None
        if isinstance(sanitized, Refused):
            return sanitized
        rebuilt, size_bytes = sanitized
        return dataclasses.replace(rebuilt, jpeg=self._shared.take(size_bytes))

    def close(self) -> None:
        self._closed = True
        if self._job is not None:
            self._job.cancel()
        with self._ending:
            _end(self._pool)

    def _started(self) -> tuple[ProcessPool, SharedBytes]:
        # Each pool has its own: the process of one that is given up may still be at work. Within a pool the library answers
        # for a process that it ended only when that is dead, so nobody writes into the next photo.
        shared = SharedBytes(self._asked.limits.max_bytes)
        pool = ProcessPool(
            max_workers=1,
            # A leak in a decoder, of memory or of sense, ends here.
            max_tasks=5_000,
            initializer=_confine,
            initargs=(self._asked, shared, _OWN_PAGES),
            # Not forked: the parent has threads, and its memory is not for a decoder to see.
            context=multiprocessing.get_context("spawn"),
        )
        _ = pool.active  # starts it now, not at the first photo
        return pool, shared

    def _replace(self) -> None:
        with self._ending:
            if self._closed:
                raise DecodersUnavailable("the decoders are closed")
            # What is left of a broken pool may take its time to end, and nobody waits for it.
            threading.Thread(target=_give_up, args=(self._pool, self._shared), daemon=True).start()
            self._pool, self._shared = self._started()


def _end(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _give_up(pool: ProcessPool, shared: SharedBytes) -> None:
    _end(pool)
    # The error that a broken pool leaves refers to itself and to all that the pool had: garbage, but not collected at once.
    shared.close()


class InProcessSanitizer:
    """Examines in this process, where it is a sandbox already: on Lambda, and in tests.

    Nothing is bounded here: what ends a photo that hangs or swells is the function's own timeout and memory.
    """

    def __init__(self, asked: SanitizerOptions) -> None:
        self._asked = asked

    async def sanitize(self, data: bytes) -> Accepted | Refused:
        return sanitize(data, self._asked.limits, self._asked.jpeg_quality)


_of_this_process: SharedBytes  # in a decoder process: where photos come and go


def _sanitize_shared(size_bytes: int, asked: SanitizerOptions) -> tuple[Accepted, int] | Refused:
    """In the decoder: the rebuilt photo, its JPEG left where the photo was, and how many bytes that is."""
    sanitized = sanitize(_of_this_process.take(size_bytes), asked.limits, asked.jpeg_quality)
    if isinstance(sanitized, Refused):
        return sanitized
    return dataclasses.replace(sanitized, jpeg=b""), _of_this_process.put(sanitized.jpeg)


def _confine(asked: SanitizerOptions, shared: SharedBytes, own_pages: Path) -> None:
    """Bound what this process may take beyond what it is: the system then fails the allocation, not the machine.

    Its environment goes: the secrets of store, Redis and owners are none of a decoder's business. How it was started stays
    in /proc, and what else that leaves is in docs/threat-model.md.
    """
    import shelf_assets.vision.preprocess  # noqa: F401 - loaded before its size is taken

    global _of_this_process
    _of_this_process = shared

    if asked.limits.max_adult_score is not None:
        from shelf_assets.photos.moderation import require_moderation

        require_moderation()
    os.environ.clear()
    # The library's own handler is Python's, and waits for the decoder that it is to end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Of no file a byte; pipes are none.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if own_pages.exists():
        here_bytes = int(own_pages.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        most_bytes = here_bytes + asked.decode_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
