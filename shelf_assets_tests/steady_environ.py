"""Changes of the environment that no thread of a library dies of.

glibc's `setenv` frees the array that another thread's `getenv` may be reading. Since polars 2.1 there is such a thread for ever
once anything was read from S3: it looks for POLARS_LOG_CONCURRENCY ten times a second, and tests set variables thousands of times.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

_change = threading.Lock()
# A kilobyte for each change: who reads one may read it for as long as it likes.
_published: list[Any] = []


def install() -> None:
    """From now on `os.environ` publishes a new array with each change, and frees none."""
    if sys.platform == "linux":
        os.putenv = lambda name, value: _publish(os.fsencode(name), os.fsencode(name) + b"=" + os.fsencode(value))
        os.unsetenv = lambda name: _publish(os.fsencode(name))


def _publish(name: bytes, *entries: bytes) -> None:
    with _change:
        environ = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
        kept = [entry for entry in _entries(environ.value) if not entry.startswith(name + b"=")]
        array = (ctypes.c_char_p * (len(kept) + len(entries) + 1))(*kept, *entries, None)
        _published.append(array)
        environ.value = ctypes.addressof(array)


def _entries(address: int | None) -> Iterator[bytes]:
    if address:
        array = ctypes.cast(address, ctypes.POINTER(ctypes.c_char_p))
        number = 0
        while (entry := array[number]) is not None:
            yield entry
            number += 1
