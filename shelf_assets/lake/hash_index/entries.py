"""Index entries of a row of raw_images: 8 bytes of a hash, and the day and kind in 4 bytes.

A look-up finds days by keys. Keys are shortened hashes, so a found day may have no such row, but no day is missed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import polars as pl

from shelf_assets.lake.schemas import ACCEPTED, DUPLICATE

# The columns that `entries_of` reads.
INDEXED_COLUMNS = ("day", "status", "sha256", "near_duplicate_group")
_KEY_HEX_DIGITS = 16


class Kind(IntEnum):
    """The query for which an entry is; the lowest two bits of its value."""

    ACCEPTED = 0  # the key is from the sha256 of an accepted photo
    COPY = 1  # the key is from the sha256 of a duplicate
    MEMBER = 2  # the key is from the near-duplicate group of a row


class Entries(NamedTuple):
    """Entries sorted by key, then value, without repetition: `keys` uint64, `values` int32 (days since 1970-01-01 × 4 + kind)."""

    keys: np.ndarray
    values: np.ndarray


def hash_keys(sha256: pl.Series) -> np.ndarray:
    """The first 8 bytes of each sha256, which is in hexadecimal digits, as uint64."""
    return _numbers(sha256.str.head(_KEY_HEX_DIGITS))


def group_keys(groups: pl.Series) -> np.ndarray:
    """The last 8 bytes of each group's UUID as uint64; the first ones may be a time that many groups share."""
    return _numbers(groups.str.replace_all("-", "", literal=True).str.tail(_KEY_HEX_DIGITS))


def _numbers(digits: pl.Series) -> np.ndarray:
    # Text that is no number has the key 0, in the index and in look-ups, so it is found as well.
    return digits.str.to_integer(base=16, dtype=pl.UInt64, strict=False).fill_null(0).to_numpy()


def entries_of(rows: pl.DataFrame) -> Entries:
    """The entries of rows of raw_images, which need only INDEXED_COLUMNS."""
    parts = [
        _of_kind(rows.filter(pl.col("status") == ACCEPTED), "sha256", Kind.ACCEPTED),
        _of_kind(rows.filter(pl.col("status") == DUPLICATE), "sha256", Kind.COPY),
        _of_kind(rows, "near_duplicate_group", Kind.MEMBER),
    ]
    return united(parts)


def _of_kind(rows: pl.DataFrame, column: str, kind: Kind) -> Entries:
    rows = rows.filter(pl.col(column).is_not_null())
    keys = (group_keys if kind is Kind.MEMBER else hash_keys)(rows[column])
    return Entries(keys, rows["day"].to_physical().to_numpy() * np.int32(len(_VALUE_KINDS)) + np.int32(kind))


# Two bits for three kinds, so that a value is split by shifting.
_VALUE_KINDS = range(4)


def days_of_kind(values: np.ndarray, kind: Kind) -> pl.Series:
    """The days of the values of this kind, each once."""
    mine = values[values % len(_VALUE_KINDS) == kind] // len(_VALUE_KINDS)
    return pl.Series(np.unique(mine).astype(np.int32)).cast(pl.Date)


def united(parts: list[Entries]) -> Entries:
    """All entries of the parts, in order, each once."""
    keys = np.concatenate([part.keys for part in parts])
    values = np.concatenate([part.values for part in parts])
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    is_first = np.ones(keys.size, bool)
    is_first[1:] = (keys[1:] != keys[:-1]) | (values[1:] != values[:-1])
    return Entries(keys[is_first], values[is_first])
