"""Memory shared with a child process: photos go through it rather than through a pipe, which copies 64 kB at a time."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing.reduction import DupFd
from typing import Any


class SharedBytes:
    """A buffer of `size_bytes` that a spawned child process sees as well.

    Physical memory is allocated on the first write of a page and freed when both processes have closed the buffer. There is
    no lock: the two processes must agree on who writes when.
    """

    def __init__(self, size_bytes: int, handle: int | None = None) -> None:
        """`handle` is the file descriptor of a buffer that another process made; None makes a new buffer."""
        if handle is None:
            handle = _memory_file()
            os.ftruncate(handle, size_bytes)
        # The descriptor stays open as long as the buffer: a child that replaces a dead one needs it.
        self._close_handle = weakref.finalize(self, os.close, handle)
        self._handle, self._size_bytes = handle, size_bytes
        self._bytes = mmap.mmap(handle, size_bytes)

    def put(self, data: bytes) -> int:
        """Write `data` to the start of the buffer and return its size. Raises ValueError where it does not fit."""
        if len(data) > self._size_bytes:
            raise ValueError(f"{len(data):,} bytes do not fit into {self._size_bytes:,}")
        self._bytes[: len(data)] = data
        return len(data)

    def read(self, size_bytes: int) -> bytes:
        """Return a copy of the first `size_bytes`."""
        return self._bytes[:size_bytes]

    def close(self) -> None:
        """Release the buffer in this process; it cannot be used afterwards."""
        self._bytes.close()
        self._close_handle()

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_in_child, (DupFd(self._handle), self._size_bytes)


def _open_in_child(handle: Any, size_bytes: int) -> SharedBytes:
    return SharedBytes(size_bytes, handle.detach())


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("photo")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
