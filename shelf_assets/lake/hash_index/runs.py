"""A run: one immutable file of sorted entries that is searched by reading a few blocks of it.

Layout, little-endian: blocks of 256 entries (256 keys of 8 bytes, then 256 values of 4), the last one padded; after them a
tree of fences. Level 1 holds the first key of each block, level n + 1 every 512th key of level n, until a level has no
more than 512 × 2 keys. The number of entries says where all of it lies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import obstore

from shelf_assets.lake.errors import StoreUnavailable, store_errors
from shelf_assets.lake.hash_index.entries import Entries, united
from shelf_assets.lake.object_store import ObjectStore, Upload

BLOCK_ENTRIES = 256
_FANOUT = 512
_KEY, _VALUE = np.dtype("<u8"), np.dtype("<i4")
_BLOCK = np.dtype([("keys", _KEY, (BLOCK_ENTRIES,)), ("values", _VALUE, (BLOCK_ENTRIES,))])
_FENCES = np.dtype((_KEY, (_FANOUT,)))
_LARGEST_KEY = np.iinfo(np.uint64).max
# An S3 request, or a file read, takes about as long as reading so many more bytes.
_WORTH_A_REQUEST_BYTES = 32 << 10
_WORTH_A_CALL_BYTES = 4 << 10
# 1,024 blocks are 3 MB, which a merge holds in memory for each run.
_BLOCKS_AT_ONCE = 1024


class RunGone(LookupError):
    """The run was merged into another one and deleted; the newest manifest names that one."""


@dataclass(frozen=True)
class _Level:
    """A level of fences: its position, and its number of keys without the padding."""

    offset_bytes: int
    keys: int

    @property
    def rows(self) -> int:
        return -(-self.keys // _FANOUT)


@dataclass(frozen=True)
class _Layout:
    entries: int

    @property
    def blocks(self) -> int:
        return -(-self.entries // BLOCK_ENTRIES)

    @cached_property
    def levels(self) -> tuple[_Level, ...]:
        """The levels, from the first keys of all blocks up to the level that a look-up reads as a whole."""
        levels = [_Level(self.blocks * _BLOCK.itemsize, self.blocks)]
        while levels[-1].keys > 2 * _FANOUT:
            below = levels[-1]
            levels.append(_Level(below.offset_bytes + below.rows * _FENCES.itemsize, below.rows))
        return tuple(levels)


@dataclass(frozen=True)
class Run:
    """The run at `key` of the store."""

    objects: ObjectStore
    key: str
    entries: int

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The values of all entries with one of `keys` (uint64, sorted, none twice). Raises RunGone."""
        if not (keys.size and self.entries):
            return np.empty(0, _VALUE)
        starts, may_be_there = self._lower_bounds(keys)
        keys, starts = keys[may_be_there], starts[may_be_there]
        stops = np.full(keys.size, self.entries)
        has_next = keys != _LARGEST_KEY
        stops[has_next], _ = self._lower_bounds(keys[has_next] + np.uint64(1))
        return self._values(starts, stops)

    def scan(self) -> Iterator[Entries]:
        """All entries in order, some blocks at a time."""
        for first in range(0, self._layout.blocks, _BLOCKS_AT_ONCE):
            count = min(_BLOCKS_AT_ONCE, self._layout.blocks - first)
            blocks = self._read_range(_BLOCK, first * _BLOCK.itemsize, count)
            left = min(count * BLOCK_ENTRIES, self.entries - first * BLOCK_ENTRIES)
            yield Entries(blocks["keys"].ravel()[:left], blocks["values"].ravel()[:left])

    @cached_property
    def _layout(self) -> _Layout:
        return _Layout(self.entries)

    def _lower_bounds(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each key the number of entries with smaller keys, and whether an entry may have this key: True if the next key
        in the last possible block is equal, or lies outside that block."""
        top, *lower = reversed(self._layout.levels)
        fences = self._read_range(_FENCES, top.offset_bytes, top.rows).ravel()[: top.keys]
        found = np.searchsorted(fences, keys)
        for level in lower:
            found, _ = self._within(keys, found, _FENCES, level.offset_bytes)
        found, may_be_there = self._within(keys, found, _BLOCK, 0)
        return np.minimum(found, self.entries), may_be_there

    def _within(
        self, keys: np.ndarray, found: np.ndarray, dtype: np.dtype, offset_bytes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """One level down: the bound is in the last of the `found` parts that begin with a smaller key."""
        numbers = np.maximum(found - 1, 0)
        parts, rows = self._parts(dtype, offset_bytes, numbers)
        held = parts["keys"] if dtype is _BLOCK else parts
        width = held.shape[1]
        # A binary search for all keys at once; the width is a power of two.
        smaller, step = np.zeros(keys.size, np.int64), width // 2
        while step:
            smaller += step * (held[rows, smaller + step - 1] < keys)
            step //= 2
        next_keys = held[rows, smaller]
        smaller += next_keys < keys
        return numbers * width + smaller, (next_keys == keys) | (smaller == width)

    def _values(self, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        counts = stops - starts
        begun = np.repeat(np.cumsum(counts) - counts, counts)
        positions = np.repeat(starts, counts) + np.arange(begun.size) - begun
        blocks, rows = self._parts(_BLOCK, 0, positions // BLOCK_ENTRIES)
        return blocks["values"][rows, positions % BLOCK_ENTRIES]

    def _parts(self, dtype: np.dtype, offset_bytes: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parts of equal size by their ascending numbers, and the row of each in the result.

        Neighbouring parts are read at once. A file on disk is not memory-mapped, because the system would also read the
        neighbours of each touched page.
        """
        if not numbers.size:
            return np.empty(0, dtype), numbers
        wanted, rows = np.unique(numbers, return_inverse=True)
        gaps_bytes = (np.diff(wanted) - 1) * dtype.itemsize
        worth_bytes = _WORTH_A_REQUEST_BYTES if self.objects.on_s3 else _WORTH_A_CALL_BYTES
        groups = np.split(wanted, np.flatnonzero(gaps_bytes > worth_bytes) + 1)
        starts = [offset_bytes + int(group[0]) * dtype.itemsize for group in groups]
        lengths = [(int(group[-1]) - int(group[0]) + 1) * dtype.itemsize for group in groups]
        answers = self._read_ranges(starts, lengths)
        firsts = [group - group[0] for group in groups]
        parts = [np.frombuffer(answer, dtype)[first] for answer, first in zip(answers, firsts, strict=True)]
        return np.concatenate(parts), rows

    def _read_ranges(self, starts: Sequence[int], lengths: Sequence[int]) -> list[bytes | memoryview]:
        with _reading(self):
            if (folder := self.objects.folder) is None:
                answers = obstore.get_ranges(self.objects.store, self.key, starts=starts, lengths=lengths, coalesce=0)
                return [memoryview(answer) for answer in answers]
            with (folder / self.key).open("rb") as file:
                # By system calls: obstore opens the file anew for each range.
                ranges = list(zip(starts, lengths, strict=True))
                if sys.platform == "linux":
                    # lets the disk start all reads at once
                    for start, length in ranges:
                        os.posix_fadvise(file.fileno(), start, length, os.POSIX_FADV_WILLNEED)
                return [os.pread(file.fileno(), length, start) for start, length in ranges]

    def _read_range(self, dtype: np.dtype, offset_bytes: int, count: int) -> np.ndarray:
        with _reading(self):
            data = self.objects.get_range(self.key, offset_bytes, count * dtype.itemsize)
        return np.frombuffer(memoryview(data), dtype)


@contextmanager
def _reading(run: Run) -> Iterator[None]:
    """Raise RunGone for a deleted run; other errors of the store are raised as StoreUnavailable."""
    try:
        with store_errors(f"reading {run.key}", run.objects.root_url):
            yield
    except StoreUnavailable as unavailable:
        if run.objects.exists(run.key):
            raise
        raise RunGone(run.key) from unavailable


def write_run(objects: ObjectStore, key: str, parts: Iterator[Entries]) -> Run:
    """Write a run of these sorted entries; it appears when all of them are written."""
    entries, left, fences = 0, Entries(np.empty(0, _KEY), np.empty(0, _VALUE)), [np.empty(0, _KEY)]
    file = objects.open_writer(key)
    for part in parts:
        entries += part.keys.size
        left = Entries(np.append(left.keys, part.keys), np.append(left.values, part.values))
        whole = left.keys.size - left.keys.size % BLOCK_ENTRIES
        fences.append(_write_blocks(file, Entries(left.keys[:whole], left.values[:whole])))
        left = Entries(left.keys[whole:], left.values[whole:])
    if left.keys.size:
        padding = (0, BLOCK_ENTRIES - left.keys.size)
        padded = Entries(np.pad(left.keys, padding, constant_values=_LARGEST_KEY), np.pad(left.values, padding))
        fences.append(_write_blocks(file, padded))
    level = np.concatenate(fences)
    for _ in _Layout(entries).levels:
        file.write(np.pad(level, (0, -level.size % _FANOUT), constant_values=_LARGEST_KEY).tobytes())
        level = level[::_FANOUT]
    # Not in a `with`, which would also close it after an error: a partial run must not appear.
    file.close()
    return Run(objects, key, entries)


def _write_blocks(file: Upload, entries: Entries) -> np.ndarray:
    """Write whole blocks; returns the first key of each."""
    blocks = np.empty(entries.keys.size // BLOCK_ENTRIES, _BLOCK)
    blocks["keys"] = entries.keys.reshape(-1, BLOCK_ENTRIES)
    blocks["values"] = entries.values.reshape(-1, BLOCK_ENTRIES)
    if blocks.size:
        file.write(blocks.tobytes())
    return blocks["keys"][:, 0].copy()


def merged(runs: Sequence[Run]) -> Iterator[Entries]:
    """The entries of all runs in order of their keys, in parts: memory depends on the number of runs only.

    An entry of several runs occurs once, unless its key is at the border of two parts.
    """
    scans = [run.scan() for run in runs]
    heads = [next(scan, None) for scan in scans]
    while any(head is not None for head in heads):
        present = [(number, head) for number, head in enumerate(heads) if head is not None]
        # all runs are read up to this key
        border = min(head.keys[-1] for _, head in present)
        ready: list[Entries] = []
        for number, head in present:
            count = int(np.searchsorted(head.keys, border, "right"))
            ready.append(Entries(head.keys[:count], head.values[:count]))
            rest = Entries(head.keys[count:], head.values[count:])
            heads[number] = rest if rest.keys.size else next(scans[number], None)
        yield united(ready)
