"""What a picture looks like, in 64 bits: photos of one scene, recompressed or rescaled, differ in few. Who is whose copy: `lake`.

The DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): the picture in
grey at 32 × 32, its 64 lowest frequencies without those of rows and columns alone (so without the mean, which brightness
moves), each one bit: above their median or not. Area means and DCT are linear, so they are one matrix here.

Whole numbers that a float64 holds exactly go into every product and sum, so no order of summation and no BLAS changes a bit.
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
# Half the frequencies of a picture below so many levels: its bits would be the noise of its compression, and all such
# pictures (a lens cap, a blank wall, a flat colour) would be each other's copies, or nobody's, by chance.
FAINTEST_LEVELS = 1.5


def perceptual_hash(tensor: np.ndarray) -> int | None:
    """The hash of a tensor (uint8, 3 × size × size) as a signed 64-bit number; None for a picture that is (nearly) flat.

    Signed, since neither Parquet's readers nor Delta have an unsigned type: xor and a count of bits do not mind. As text it
    would be twice the bytes, to be parsed before every comparison.
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
    """Of an even number of them; np.median takes eight times as long, which is half of what a hash costs."""
    middle = values.size // 2
    ordered = np.sort(values, axis=None)
    return float(ordered[middle - 1] + ordered[middle]) / 2


@lru_cache(maxsize=16)
def _weights(size: int) -> np.ndarray:
    """From `size` pixels to the frequencies 1 to 8 of their 32 area means, 8 × size, in whole 2^-14ths."""
    edges = np.arange(_SIDE + 1) * size / _SIDE
    left, right = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)
    covered = np.clip(np.minimum(right, pixels + 1) - np.maximum(left, pixels), 0, None) * _SIDE / size
    angles = np.pi / _SIDE * (np.arange(_SIDE) + 0.5) * np.arange(1, _FREQUENCIES + 1)[:, None]
    weights = np.rint(np.sqrt(2 / _SIDE) * np.cos(angles) @ covered * _UNITS)
    weights.flags.writeable = False
    return weights
