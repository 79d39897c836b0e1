"""Antialiased bicubic resampling of uint8 pictures: the same bytes on every machine, without torch. No decoding here.

The filter is Pillow's, with which models were trained: Keys' cubic, a = -0.5, widened by the scale when shrinking, cut off at the
edge of the picture. It is computed as two products with banded matrices, rows first. Weights are whole multiples of 2^-14, and
values are rounded to whole levels between the two products, so every product and partial sum fits the 24 bits of a float32
exactly: no order of summation, vector width or BLAS library changes a byte. It takes less than half the time of Pillow's
resize. torch's takes two thirds of the time here, but differs by processor and costs seconds to import.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Box = tuple[float, float, float, float]

_A = -0.5
_UNITS = 1 << 14
_BLOCK = 16
# OpenBLAS computes a product of fewer than 2^18 multiplications on the calling thread. The decode pool is parallel already;
# with BLAS threads inside it the resize took ten times as long.
_PRODUCT_LIMIT = 1 << 18
_CACHED_SIDE_PX = 4096
_FLOATS_KEPT = 2 << 20

# Working memory that later calls reuse: page faults of new memory cost as much as the arithmetic. The deque holds one array
# per concurrent call; append and pop are atomic.
_workspaces: deque[np.ndarray] = deque(maxlen=32)


@dataclass(frozen=True)
class _Band:
    """Outputs `first` to `last` (exclusive) are `weights` (float32) times inputs `start` to `stop`."""

    first: int
    last: int
    start: int
    stop: int
    weights: np.ndarray


def resize(picture: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """Map the region `box` (left, top, right, bottom; px, fractions allowed) onto `size` (height, width).

    `picture` is uint8, H × W × 3; the result is uint8, 3 × height × width, C-contiguous. Pixels outside the box
    but inside the picture take part at its border, as if the whole had been resized and then cut.
    """
    left, top, right, bottom = box
    height, width = size
    down = _bands(picture.shape[0], top, bottom, height)
    across = _bands(picture.shape[1], left, right, width)
    first_column, last_column = across[0].start, max(band.stop for band in across)
    columns = last_column - first_column
    taps = max(band.stop - band.start for band in down)
    chunks, chunk = _chunks(taps, 3 * columns)
    workspace = _Workspace(3 * height * (columns + width) + (taps + _BLOCK) * chunks * chunk)
    rows = workspace.take(3, height, columns)
    out = workspace.take(3, height, width)
    source = workspace.take(taps, chunks, chunk)
    target = workspace.take(_BLOCK, chunks, chunk)
    _resize_rows(picture[:, first_column:last_column], down, source, target, rows)
    for band in across:
        # matmul works plane by plane, so each product stays near the limit.
        inputs = rows[:, :, band.start - first_column : band.stop - first_column]
        np.matmul(inputs, band.weights.T, out=out[:, :, band.first : band.last])
    np.rint(out, out=out)
    np.clip(out, 0, 255, out=out)
    resized = out.astype(np.uint8)
    workspace.give_back()
    return resized


def _resize_rows(
    picture: np.ndarray, bands: tuple[_Band, ...], source: np.ndarray, target: np.ndarray, rows: np.ndarray
) -> None:
    """Vertical pass: uint8 H × W × 3 into `rows`, float32 3 × height × W of whole levels (not yet clipped).

    `source` and `target` are working memory of as many rows as a band has inputs and outputs, in chunks of columns.
    """
    columns = picture.shape[1]
    source_rows, target_rows = source.reshape(len(source), -1), target.reshape(len(target), -1)
    # The padding after the last column takes part in products that are not used; it must only be finite.
    source_rows[:, 3 * columns :] = 0
    for band in bands:
        inputs, outputs = band.stop - band.start, band.last - band.first
        pixels = source_rows[:inputs, : 3 * columns].reshape(inputs, columns, 3)
        pixels[...] = picture[band.start : band.stop]
        np.matmul(band.weights, source[:inputs].transpose(1, 0, 2), out=target[:outputs].transpose(1, 0, 2))
        made = target_rows[:outputs, : 3 * columns].reshape(outputs, columns, 3)
        np.rint(made.transpose(2, 0, 1), out=rows[:, band.first : band.last])


def _chunks(taps: int, samples: int) -> tuple[int, int]:
    """Number and size of the chunks into which a row is split, so that one product stays below the limit."""
    chunks = -(-samples // max(48, _PRODUCT_LIMIT // (_BLOCK * taps)))
    return chunks, -(-samples // chunks)


def _bands(length: int, low: float, high: float, count: int) -> tuple[_Band, ...]:
    """Weights from `length` inputs, of which [low, high) is mapped onto `count` outputs."""
    return (_cached_bands if length <= _CACHED_SIDE_PX else _make_bands)(length, low, high, count)


def _make_bands(length: int, low: float, high: float, count: int) -> tuple[_Band, ...]:
    scale = (high - low) / count
    stretch = max(scale, 1.0)
    reach = 2 * stretch
    centres = low + (np.arange(count) + 0.5) * scale
    starts = np.clip(np.floor(centres - reach + 0.5), 0, length - 1).astype(np.int64)
    stops = np.clip(np.floor(centres + reach + 0.5), 1, length).astype(np.int64)
    positions = starts[:, None] + np.arange(int((stops - starts).max()))
    weights = _cubic((positions + 0.5 - centres[:, None]) / stretch) * (positions < stops[:, None])
    units = np.rint(weights * (_UNITS / weights.sum(axis=1, keepdims=True)))
    # The rounding error is added to the largest weight, so that a flat picture stays exactly flat.
    units[np.arange(count), np.abs(units).argmax(axis=1)] += _UNITS - units.sum(axis=1)
    scaled = (units / _UNITS).astype(np.float32)
    bands = []
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        start, stop = int(starts[first]), int(stops[first:last].max())
        block = np.zeros((last - first, stop - start + positions.shape[1]), np.float32)
        np.put_along_axis(block, positions[first:last] - start, scaled[first:last], axis=1)
        block = np.ascontiguousarray(block[:, : stop - start])  # beyond `stop` there are only zeros
        block.flags.writeable = False
        bands.append(_Band(first, last, start, stop, block))
    return tuple(bands)


_cached_bands = lru_cache(maxsize=256)(_make_bands)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel (IEEE TASSP 29, 1981) with a = -0.5."""
    x = np.abs(x)
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


class _Workspace:
    """A float32 array, reused from an earlier call if there is one, that is handed out in pieces."""

    def __init__(self, floats: int) -> None:
        try:
            self.memory = _workspaces.pop()
        except IndexError:
            self.memory = np.empty(0, np.float32)
        if self.memory.size < floats:
            self.memory = np.empty(floats, np.float32)
        self.taken = 0

    def take(self, *shape: int) -> np.ndarray:
        start, self.taken = self.taken, self.taken + int(np.prod(shape))
        return self.memory[start : self.taken].reshape(shape)

    def give_back(self) -> None:
        if self.memory.size <= _FLOATS_KEPT:
            _workspaces.append(self.memory)
