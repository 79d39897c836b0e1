"""Decoding of untrusted bytes in separate processes: a crash, a hang or excessive memory use affects one photo only.

`DecoderPool` runs a fixed number of processes (pebble); their code is in `decoder_process`. The operating system bounds the memory
of each; the parent bounds its time, and replaces a process that exceeds it. `InProcessSanitizer` serves where each call has a
sandbox of its own (Lambda).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import multiprocessing
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as DecodeTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol, Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from shelf_assets.photos.decoder_process import confine, sanitize_shared
from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import Photo, has_too_many_bytes
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto, sanitize
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.photos.shared_bytes import SharedBytes

_log = logging.getLogger(__name__)
# Linux reports the memory pages of a process here. Systems without this file do not enforce RLIMIT_AS either.
_STATM = Path("/proc/self/statm")
# Longest time for a process to start and to receive its photo; usually below 2 s, even on a busy machine.
_START_SECONDS = 30
_ATTEMPTS = 2
# A process is replaced after this many photos, which bounds leaks in the decoders.
_PHOTOS_PER_PROCESS = 5_000


@dataclass(frozen=True)
class SanitizerOptions:
    """Limits, output quality and resource bounds that apply to every uploaded photo."""

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
    """Validates and re-encodes a photo; returns a result for any bytes."""

    async def sanitize(self, data: bytes) -> SanitizedPhoto | Refusal: ...


class DecodersUnavailable(RuntimeError):
    """No decoder process could serve the photo. The photo was not examined and may be sent again."""


class DecoderPool:
    """`count` decoder processes, each reused for many photos. Use it as a context manager."""

    def __init__(self, options: SanitizerOptions, count: int) -> None:
        self._options, self._count = options, count
        self._threads: ThreadPoolExecutor | None = None
        self._all: list[_Decoder] = []
        self._free: SimpleQueue[_Decoder] = SimpleQueue()

    def __enter__(self) -> Self:
        if not _STATM.exists():
            _log.warning("Decoder processes are bounded in time only: this system has no %s to measure memory.", _STATM)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="decoder")
        self._all = [_Decoder(self._options) for _ in range(self._count)]
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

    async def sanitize(self, data: bytes) -> SanitizedPhoto | Refusal:
        """Return the sanitized photo, or the reason why it is refused. Raises DecodersUnavailable.

        Cancelling the call does not stop the decoder: otherwise every client that disconnects would cost a process.
        """
        if self._threads is None:
            raise DecodersUnavailable("the decoders are closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run_on_free_decoder, data)

    def _run_on_free_decoder(self, data: bytes) -> SanitizedPhoto | Refusal:
        decoder = self._free.get()  # never blocks: there are as many decoders as threads
        try:
            return decoder.sanitize(data)
        finally:
            self._free.put(decoder)


class _NotStarted(Exception):
    """The process died before it received the photo: it did not start, or was killed while idle."""


class _Decoder:
    """One decoder process that handles one photo at a time; each has a pebble pool of its own.

    Workers of one pool share a pipe and its locks: a worker that is killed while it holds a lock or writes a message deadlocks
    the others, and a worker that is killed while idle breaks the whole pool.
    """

    def __init__(self, options: SanitizerOptions) -> None:
        self._options, self._closed = options, False
        self._job: ProcessFuture[tuple[SanitizedPhoto, int] | Refusal] | None = None
        # A pool must be stopped once only: stopping closes its pipes, and a second stop may close a reused file descriptor.
        self._stopping = threading.Lock()
        self._pool, self._shared = self._start()

    def sanitize(self, data: bytes) -> SanitizedPhoto | Refusal:
        # The caller checks the size of a file before it reads it; a file that grew in between does not fit the shared memory.
        if (detail := has_too_many_bytes(Photo(data), self._options.limits)) is not None:
            return Refusal("too_large", detail)
        for _ in range(_ATTEMPTS):
            try:
                return self._attempt(data)
            except _NotStarted:
                self._replace()
        raise DecodersUnavailable(
            f"a decoder process died, or did not start within {_START_SECONDS} seconds, {_ATTEMPTS} times"
        )

    def _attempt(self, data: bytes) -> SanitizedPhoto | Refusal:
        options = self._options
        try:
            job = self._pool.schedule(
                sanitize_shared, args=(self._shared.put(data), options), timeout=options.decode_seconds
            )
        except RuntimeError:  # pebble raises it for a pool that is stopped or broken
            raise _NotStarted from None
        self._job = job
        if self._closed:
            job.cancel()
        try:
            # pebble's own timeout starts when the process receives the photo.
            result = job.result(options.decode_seconds + _START_SECONDS)
        except BrokenProcessPool:
            raise _NotStarted from None
        except DecodeTimeout:
            if not job.done():
                raise _NotStarted from None
            return Refusal("too_slow", f"not decoded within {options.decode_seconds:g} seconds")
        except ProcessExpired as expired:
            self._replace()
            return Refusal("decoder_died", f"the decoder ended with exit code {expired.exitcode}")
        except MemoryError:
            return Refusal("decoder_died", f"more than {options.decode_bytes >> 20:,} MiB to decode")
        except CancelledError:
            raise DecodersUnavailable("the decoders are closed") from None
        if isinstance(result, Refusal):
            return result
        photo, size_bytes = result
        return dataclasses.replace(photo, jpeg=self._shared.read(size_bytes))

    def close(self) -> None:
        self._closed = True
        if self._job is not None:
            self._job.cancel()
        with self._stopping:
            _stop(self._pool)

    def _start(self) -> tuple[ProcessPool, SharedBytes]:
        # Each pool has its own shared memory: the process of an abandoned pool may still write. Within one pool that cannot
        # happen, because pebble reports a killed process only after it has ended.
        shared = SharedBytes(self._options.limits.max_bytes)
        pool = ProcessPool(
            max_workers=1,
            max_tasks=_PHOTOS_PER_PROCESS,
            initializer=confine,
            initargs=(self._options, shared, _STATM),
            # Not forked: the parent has threads, and a decoder must not see the parent's memory.
            context=multiprocessing.get_context("spawn"),
        )
        _ = pool.active  # starts the process now rather than with the first photo
        return pool, shared

    def _replace(self) -> None:
        with self._stopping:
            if self._closed:
                raise DecodersUnavailable("the decoders are closed")
            # Stopping a broken pool may take seconds, so it runs in the background.
            threading.Thread(target=_discard, args=(self._pool, self._shared), daemon=True).start()
            self._pool, self._shared = self._start()


def _stop(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _discard(pool: ProcessPool, shared: SharedBytes) -> None:
    _stop(pool)
    # The exception of a broken pool is part of a reference cycle that keeps the memory until a garbage collection.
    shared.close()


class InProcessSanitizer:
    """Sanitizes in the calling process; for Lambda, where the process is a sandbox already, and for tests.

    It has no bounds of its own: Lambda's timeout and memory size apply.
    """

    def __init__(self, options: SanitizerOptions) -> None:
        self._options = options

    async def sanitize(self, data: bytes) -> SanitizedPhoto | Refusal:
        return sanitize(data, self._options.limits, self._options.jpeg_quality)
