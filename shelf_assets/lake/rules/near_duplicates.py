"""Groups of photos that look alike, by the distance of perceptual hashes. How a group changes a row belongs in `groups`.

A photo joins the group of the earliest accepted photo (received_at, then key) whose hash differs in at most `bits` bits and
whose day is at most `days` away; without such a photo it begins a group of its own. Groups are chains: the first and the
last photo of a slow pan need not look alike.

Pairs are found by bands (G. Manku, A. Jain, A. Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007): if two
hashes differ in k bits, one of their k + 1 parts is equal. Photos that share a part are compared bit by bit, so the result
is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

_HASH_BITS = 64
# Pairs compared at once: bounds working memory to 24 MB.
_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class NearDuplicates:
    """Policy: near-duplicates differ in at most `bits` of 64 bits and lie at most `days` days apart.

    With `skip` they become duplicates, so that later stages do not process them.
    """

    bits: int = 4
    days: int = 35
    skip: bool = False

    @cached_property
    def bands(self) -> tuple[int, ...]:
        """One mask of every (bits + 1)th bit per band. Neighbouring bits are neighbouring frequencies and correlate: bands of
        neighbouring bits would be shared by far more photos."""
        count = self.bits + 1
        return tuple(sum(1 << bit for bit in range(first, _HASH_BITS, count)) for first in range(count))


@dataclass(frozen=True)
class _Looks:
    """The compared columns of photos: perceptual hashes (uint64) and days (since 1970-01-01)."""

    hashes: np.ndarray
    days: np.ndarray

    @classmethod
    def of(cls, photos: pl.DataFrame) -> _Looks:
        return cls(photos["perceptual_hash"].to_numpy().view(np.uint64), photos["day"].to_physical().to_numpy())


def alike_hashes(photos: pl.DataFrame, others: pl.DataFrame, rule: NearDuplicates) -> pl.Series:
    """The perceptual hashes of `others` that are alike one of `photos` (both with the columns day, perceptual_hash)."""
    found = np.zeros(others.height, bool)
    for _, theirs in _alike(_Looks.of(photos), _Looks.of(others), rule):
        found[theirs] = True
    return others["perceptual_hash"].filter(pl.Series(found)).unique()


def grouped(photos: pl.DataFrame, others: pl.DataFrame, rule: NearDuplicates) -> pl.DataFrame:
    """`photos` (day, image_id, key, received_at, perceptual_hash, is_retained) with near_duplicate_group and is_near_duplicate.

    `others` (day, key, received_at, perceptual_hash, near_duplicate_group) are the accepted photos that have a group. With
    `skip`, later photos are not compared with a near-duplicate, unless it was accepted before (`is_retained`).
    """
    photos, others = photos.sort("received_at", "key", "day"), others.sort("received_at", "key", "day")
    # A picture that was sent a thousand times in a day is compared once: the first one has the group of all.
    others = others.unique(["day", "perceptual_hash"], keep="first", maintain_order=True)
    looks = _Looks.of(photos)
    nearest = _earliest_alike(looks, _Looks.of(others), rule)
    found = nearest < others.height
    matched = others[nearest[found]].select("received_at", "key", "near_duplicate_group").rows()
    of_others = dict(zip(np.flatnonzero(found).tolist(), matched, strict=True))
    earlier = _Earlier(rule)
    groups: list[str] = []
    is_near: list[bool] = []
    rows = photos.select("received_at", "key", "image_id", "is_retained").iter_rows()
    for (received_at, key, image_id, is_retained), bits, day in zip(
        rows, looks.hashes.tolist(), looks.days.tolist(), strict=True
    ):
        candidates = [of_others[len(groups)]] if len(groups) in of_others else []
        candidates += earlier.alike(bits, day)
        group = min(candidates)[2] if candidates else image_id
        is_near.append(bool(candidates))
        groups.append(group)
        if is_retained or not (candidates and rule.skip):
            earlier.add(bits, day, (received_at, key, group))
    return photos.with_columns(
        near_duplicate_group=pl.Series(groups, dtype=pl.String), is_near_duplicate=pl.Series(is_near, dtype=pl.Boolean)
    )


class _Earlier:
    """The photos of one commit that have their group already, in order, by the bands of their hashes."""

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
        """The earliest alike photo of each band; the earliest of all bands is among them."""
        for mask, bands in zip(self._rule.bands, self._by_band, strict=True):
            for other_bits, other_day, photo in bands.get(bits & mask, ()):
                if (bits ^ other_bits).bit_count() <= self._rule.bits and abs(day - other_day) <= self._rule.days:
                    yield photo
                    break


def _earliest_alike(photos: _Looks, others: _Looks, rule: NearDuplicates) -> np.ndarray:
    """Per photo the index of the first alike photo in `others`; the length of `others` if there is none."""
    earliest = np.full(photos.hashes.size, others.hashes.size)
    for mine, theirs in _alike(photos, others, rule):
        np.minimum.at(earliest, mine, theirs)
    return earliest


def _alike(photos: _Looks, others: _Looks, rule: NearDuplicates) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All alike pairs (index of photo, index of other), in chunks; a pair that shares several bands occurs several times."""
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
    """(position, row) for every position from `starts` to `starts + counts` of every row, in chunks."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    for first in range(0, total, _PAIRS_AT_ONCE):
        numbers = np.arange(first, min(first + _PAIRS_AT_ONCE, total))
        rows = np.searchsorted(ends, numbers, "right")
        yield starts[rows] + numbers - (ends[rows] - counts[rows]), rows
