"""Memory that this process and a child of it both see: a photo through a pipe is copied 64 kB at a time, and both wake for each."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing.reduction import DupFd
from typing import Any


class SharedBytes:
    """Room for `size_bytes`, of which a child that is given it while it is spawned sees the same ones.

    Memory is taken by the largest that was put here, and is given back when the child has ended and this is closed or gone.
    Who may put and who take is for the two to agree on: nothing is locked.
    """

    def __init__(self, size_bytes: int, handle: int | None = None) -> None:
        """`handle` is of the file that another process made."""
        if handle is None:
            handle = _memory_file()
            os.ftruncate(handle, size_bytes)
        # Open as long as this is: a child that has died is spawned again.
        self._let_go = weakref.finalize(self, os.close, handle)
        self._handle, self._size_bytes = handle, size_bytes
        self._bytes = mmap.mmap(handle, size_bytes)

    def put(self, data: bytes) -> int:
        """Leave `data` there; how many bytes it is. Raises ValueError where there is no room for so many."""
        if len(data) > self._size_bytes:
            raise ValueError(f"{len(data):,} bytes do not fit into {self._size_bytes:,}")
        self._bytes[: len(data)] = data
        return len(data)

    def take(self, size_bytes: int) -> bytes:
        """A copy of the first `size_bytes`."""
        return self._bytes[:size_bytes]

    def close(self) -> None:
        """Nobody puts or takes any more."""
        self._bytes.close()
        self._let_go()

    def __reduce__(self) -> tuple[Any, ...]:
        return _seen_by_a_child, (DupFd(self._handle), self._size_bytes)


def _seen_by_a_child(handle: Any, size_bytes: int) -> SharedBytes:
    return SharedBytes(size_bytes, handle.detach())


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("photo")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
