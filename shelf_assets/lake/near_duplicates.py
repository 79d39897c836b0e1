"""Which photos look alike: the group of each, by the distance of perceptual hashes. What a group does to a row is `ledger`'s.

A photo joins the group of the earliest accepted photo (received_at, then key) whose hash differs in at most so many bits
and whose day is near enough; without one it begins its own. So groups are chains: the first and the last of a slow pan
need not look alike.

Pairs are found by bands (G. Manku, A. Jain, A. Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007): of k + 1
parts of two hashes that differ in k bits one is equal. What shares a part is compared bit by bit, so the answer is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

_HASH_BITS = 64
# Pairs compared at once: 24 MB of working memory, whatever is compared with whatever.
_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class NearDuplicates:
    """`bits` of 64 in which near-duplicates may differ, `days` by which theirs may; whether they go no further (`skip`)."""

    bits: int = 4
    days: int = 35
    skip: bool = False

    @cached_property
    def bands(self) -> tuple[int, ...]:
        """A mask of every (bits + 1)th bit each. Neighbouring bits are neighbouring frequencies, which go together: parts
        of neighbours would be shared by far more photos."""
        count = self.bits + 1
        return tuple(sum(1 << bit for bit in range(first, _HASH_BITS, count)) for first in range(count))


BY_DEFAULT = NearDuplicates()


@dataclass(frozen=True)
class _Looks:
    """What of photos is compared."""

    hashes: np.ndarray
    days: np.ndarray

    @classmethod
    def of(cls, photos: pl.DataFrame) -> _Looks:
        return cls(photos["perceptual_hash"].to_numpy().view(np.uint64), photos["day"].to_physical().to_numpy())


def alike_hashes(photos: pl.DataFrame, others: pl.DataFrame, rule: NearDuplicates) -> pl.Series:
    """The perceptual hashes of `others` that look like one of `photos` (day, perceptual_hash each)."""
    found = np.zeros(others.height, bool)
    for _, theirs in _alike(_Looks.of(photos), _Looks.of(others), rule):
        found[theirs] = True
    return others["perceptual_hash"].filter(pl.Series(found)).unique()


def grouped(photos: pl.DataFrame, others: pl.DataFrame, rule: NearDuplicates) -> pl.DataFrame:
    """`photos` (day, image_id, key, received_at, perceptual_hash, is_settled) with near_duplicate_group and is_near_duplicate.

    `others` (day, key, received_at, perceptual_hash, near_duplicate_group) are the accepted photos that have a group. With
    `skip` a near-duplicate is none that later ones are compared with, unless it is settled: accepted before.
    """
    photos, others = photos.sort("received_at", "key", "day"), others.sort("received_at", "key", "day")
    # What was sent a thousand times a day is compared with once: the first has the group of all.
    others = others.unique(["day", "perceptual_hash"], keep="first", maintain_order=True)
    looks = _Looks.of(photos)
    nearest = _earliest_alike(looks, _Looks.of(others), rule)
    found = nearest < others.height
    matched = others[nearest[found]].select("received_at", "key", "near_duplicate_group").rows()
    of_others = dict(zip(np.flatnonzero(found).tolist(), matched, strict=True))
    earlier = _Earlier(rule)
    groups: list[str] = []
    is_near: list[bool] = []
    rows = photos.select("received_at", "key", "image_id", "is_settled").iter_rows()
    for (received_at, key, image_id, is_settled), bits, day in zip(
        rows, looks.hashes.tolist(), looks.days.tolist(), strict=True
    ):
        candidates = [of_others[len(groups)]] if len(groups) in of_others else []
        candidates += earlier.alike(bits, day)
        group = min(candidates)[2] if candidates else image_id
        is_near.append(bool(candidates))
        groups.append(group)
        if is_settled or not (candidates and rule.skip):
            earlier.add(bits, day, (received_at, key, group))
    return photos.with_columns(
        near_duplicate_group=pl.Series(groups, dtype=pl.String), is_near_duplicate=pl.Series(is_near, dtype=pl.Boolean)
    )


class _Earlier:
    """The photos of one commit that are done, in their order, by the bands of their hashes."""

    def __init__(self, rule: NearDuplicates) -> None:
        self._rule = rule
        self._known: set[tuple[int, int]] = set()
        self._by_band = [defaultdict[int, list[tuple[int, int, tuple]]](list) for _ in rule.bands]

    def add(self, bits: int, day: int, photo: tuple) -> None:
        if (bits, day) in self._known:
            return
        self._known.add((bits, day))
        for mask, bands in zip(self._rule.bands, self._by_band, strict=True):
            bands[bits & mask].append((bits, day, photo))

    def alike(self, bits: int, day: int) -> Iterator[tuple]:
        """Of each band the earliest that looks alike; the earliest of all is among them."""
        for mask, bands in zip(self._rule.bands, self._by_band, strict=True):
            for other_bits, other_day, photo in bands.get(bits & mask, ()):
                if (bits ^ other_bits).bit_count() <= self._rule.bits and abs(day - other_day) <= self._rule.days:
                    yield photo
                    break


def _earliest_alike(photos: _Looks, others: _Looks, rule: NearDuplicates) -> np.ndarray:
    """For each photo the first of the others that looks alike; their number where none does."""
    earliest = np.full(photos.hashes.size, others.hashes.size)
    for mine, theirs in _alike(photos, others, rule):
        np.minimum.at(earliest, mine, theirs)
    return earliest


def _alike(photos: _Looks, others: _Looks, rule: NearDuplicates) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All (photo, other) that look alike, some at a time; one that shares several bands comes as often."""
    for mask in map(np.uint64, rule.bands):
        order = np.argsort(photos.hashes & mask)
        bands, wanted = (photos.hashes & mask)[order], others.hashes & mask
        starts = np.searchsorted(bands, wanted)
        shared = np.flatnonzero(np.append(bands, np.uint64(0))[starts] == wanted)
        starts = starts[shared]
        counts = np.searchsorted(bands, wanted[shared], "right") - starts
        for mine, theirs in _pairs(starts, counts):
            mine, theirs = order[mine], shared[theirs]
            alike = np.bitwise_count(photos.hashes[mine] ^ others.hashes[theirs]) <= rule.bits
            alike &= np.abs(photos.days[mine] - others.days[theirs]) <= rule.days
            yield mine[alike], theirs[alike]


def _pairs(starts: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(position, row) of every position from `starts` to `starts + counts` of every row, some at a time."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    for first in range(0, total, _PAIRS_AT_ONCE):
        numbers = np.arange(first, min(first + _PAIRS_AT_ONCE, total))
        rows = np.searchsorted(ends, numbers, "right")
        yield starts[rows] + numbers - (ends[rows] - counts[rows]), rows
