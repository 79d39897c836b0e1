"""Perceptual hash of 64 bits: pictures of one scene, recompressed or rescaled, differ in few bits. `lake` finds duplicates.

This is the DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): the picture in
grey at 32 × 32, and its 64 lowest frequencies without those of rows and columns alone (hence without the mean, which changes
with brightness). Each bit says whether a frequency is above their median. Area means and DCT are linear, so one matrix does both.

All products and sums are whole numbers that a float64 represents exactly, so neither the order of summation nor the BLAS library
can change a bit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BITS = 64
_SIDE = 32
_FREQUENCIES = 8
_UNITS = 1 << 14
# BT.601's luma in 256ths.
_RED, _GREEN, _BLUE = 77, 150, 29
_GREY_UNITS = 256
# OpenBLAS keeps a product of fewer than 2^18 multiplications on the calling thread; see `resize`.
_PRODUCT_LIMIT = 1 << 18
# Half of the frequencies of such a picture are below this many levels: its bits would be compression noise, and pictures of
# this kind (a lens cap, a blank wall, a flat colour) would match one another, or not, by chance.
FAINTEST_LEVELS = 1.5


def perceptual_hash(tensor: np.ndarray) -> int | None:
    """Hash of a tensor (uint8, 3 × size × size) as a signed 64-bit number; None for a picture that is (nearly) flat.

    Signed, because Parquet readers and Delta have no unsigned type; xor and bit counts are unaffected. As text it would take
    twice the bytes and have to be parsed before every comparison.
    """
    size = tensor.shape[1]
    weights = _weights(size)
    grey = _grey(tensor)
    columns = _PRODUCT_LIMIT // (_FREQUENCIES * size)
    rows = [weights @ grey[:, start : start + columns] for start in range(0, size, columns)]
    levels = np.rint(np.concatenate(rows, axis=1) / _UNITS) @ weights.T
    if _median(np.abs(levels)) < FAINTEST_LEVELS * _GREY_UNITS * _UNITS:
        return None
    return int(np.packbits(levels > _median(levels)).view(">i8")[0])


def distance(one: int, other: int) -> int:
    """How many bits differ."""
    return ((one ^ other) & 0xFFFF_FFFF_FFFF_FFFF).bit_count()


def _grey(tensor: np.ndarray) -> np.ndarray:
    """256 times the luma, size × size."""
    grey = np.multiply(tensor[0], _RED, dtype=np.uint16)
    grey += np.multiply(tensor[1], _GREEN, dtype=np.uint16)
    grey += np.multiply(tensor[2], _BLUE, dtype=np.uint16)
    return grey.astype(np.float64)


def _median(values: np.ndarray) -> float:
    """Median of an even number of values. np.median takes eight times as long, half of the cost of a hash."""
    middle = values.size // 2
    ordered = np.sort(values, axis=None)
    return float(ordered[middle - 1] + ordered[middle]) / 2


@lru_cache(maxsize=16)
def _weights(size: int) -> np.ndarray:
    """Matrix from `size` pixels to the frequencies 1 to 8 of their 32 area means: 8 × size, in whole multiples of 2^-14."""
    edges = np.arange(_SIDE + 1) * size / _SIDE
    left, right = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)
    covered = np.clip(np.minimum(right, pixels + 1) - np.maximum(left, pixels), 0, None) * _SIDE / size
    angles = np.pi / _SIDE * (np.arange(_SIDE) + 0.5) * np.arange(1, _FREQUENCIES + 1)[:, None]
    weights = np.rint(np.sqrt(2 / _SIDE) * np.cos(angles) @ covered * _UNITS)
    weights.flags.writeable = False
    return weights
