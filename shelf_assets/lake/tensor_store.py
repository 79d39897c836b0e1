"""Store of a day's tensors: Arrow IPC streams of uint8 pixels (shards), each with a small index, read batch by batch.

Layout in the lake: `tensors/<geometry digest>/<day>/<name>.arrow` and `<name>.json`. A shard exists once its index is
written, which happens after the shard itself: a killed run leaves at most a shard without index, which is never read.
Indexes never change, so that two runs of a day do not disturb each other; a photo in two shards is read once.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa

from shelf_assets.lake.object_store import Buffer, ObjectStore, Upload
from shelf_assets.lake.schemas import require_day
from shelf_assets.lake.tensor_index import Place, TensorIndex, read_index

# 64 tensors are 9.6 MB: a reader's memory, whatever the size of the shard.
ROWS_PER_RECORD_BATCH = 64
# Record batches that a reader prefetches, 9.6 MB each: the store's 30 ms pass while another batch is processed.
BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Tensor:
    """One accepted image: `pixels` uint8, 3 × size × size, RGB, EXIF-upright, not normalised."""

    image_id: str
    sha256: str
    pixels: np.ndarray


@dataclass(frozen=True)
class TensorFailure:
    """An accepted image for which no tensor could be made, with the reason."""

    image_id: str
    sha256: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Written:
    tensors: int
    failures: int
    shards: int
    bytes_written: int


class TensorDay:
    """The tensors of one day in one geometry."""

    def __init__(self, store: ObjectStore, geometry_digest: str, day: date, size_px: int) -> None:
        self.store = store
        self.prefix = f"tensors/{geometry_digest[:16]}/{require_day(day).isoformat()}/"
        self.size_px = size_px

    @property
    def uri(self) -> str:
        return f"{self.store.root_url}/{self.prefix}"

    def index(self) -> TensorIndex:
        """Read the current index."""
        return read_index(self.store, self.prefix)

    @contextmanager
    def writer(self, shard_images: int) -> Iterator[ShardWriter]:
        """Write tensors one by one with one record batch in memory; each shard is stored as soon as it is full.

        If the block ends early (an error, Ctrl-C), the current shard is closed and stored.
        """
        writer = ShardWriter(self.store, self.prefix, self.size_px, shard_images)
        try:
            yield writer
        finally:
            writer.close()

    def write(self, items: Iterable[Tensor | TensorFailure], shard_images: int) -> Written:
        """Write a stream of tensors and failures."""
        with self.writer(shard_images) as writer:
            for item in items:
                writer.add(item)
        return writer.written

    def read(self, wanted: pl.DataFrame, index: TensorIndex | None = None) -> Iterator[Tensor]:
        """Read the tensors of the wanted photos (image_id, sha256), with few record batches in memory.

        `index` avoids reading the index again.
        """
        index = index or self.index()
        chosen = index.tensors.drop("image_id").join(wanted.select("image_id", "sha256").unique("sha256"), on="sha256")
        for (shard,), rows in chosen.group_by("shard", maintain_order=True):
            wanted_rows = dict(zip(rows["row"], zip(rows["image_id"], rows["sha256"], strict=True), strict=True))
            for row, pixels in self._rows(str(shard), index.places.get(str(shard)), wanted_rows):
                if row in wanted_rows:
                    image_id, sha256 = wanted_rows[row]
                    yield Tensor(image_id, sha256, pixels)

    def _rows(
        self, shard: str, batches: Sequence[Place] | None, wanted: Container[int]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(row, pixels) of all rows of the record batches with a wanted row; pixels are views of the bytes that were read."""
        if batches is None:  # a shard of an older version, whose index has no positions of batches
            yield from self._all_rows(shard)
            return
        row = 0
        places: list[tuple[int, int, int]] = []
        for start_bytes, size_bytes, rows in batches:
            if any(each in wanted for each in range(row, row + rows)):
                places.append((row, start_bytes, size_bytes))
            row += rows
        schema = _schema(self.size_px)
        for first_row, data in self._fetched(shard, places):
            pixels = _pixels(pa.ipc.read_record_batch(pa.py_buffer(data), schema), self.size_px)
            yield from enumerate(pixels, first_row)

    def _fetched(self, shard: str, places: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, Buffer]]:
        """(first row, bytes) of record batches in order, prefetching the next ones."""
        waiting: deque[tuple[int, Future[Buffer]]] = deque()
        pool = ThreadPoolExecutor(BATCHES_AHEAD, thread_name_prefix="shard")
        try:
            for first_row, start_bytes, size_bytes in places:
                if len(waiting) == BATCHES_AHEAD:
                    row, future = waiting.popleft()
                    yield row, future.result()
                future = pool.submit(self.store.get_range, self.prefix + shard, start_bytes, size_bytes)
                waiting.append((first_row, future))
            while waiting:
                row, future = waiting.popleft()
                yield row, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _all_rows(self, shard: str) -> Iterator[tuple[int, np.ndarray]]:
        row = 0
        with pa.ipc.open_stream(pa.PythonFile(self.store.open_reader(self.prefix + shard), mode="r")) as reader:
            for record_batch in reader:
                for pixels in _pixels(record_batch, self.size_px):
                    yield row, pixels
                    row += 1


def _schema(size_px: int) -> pa.Schema:
    return pa.schema({"image_id": pa.string(), "sha256": pa.string(), "pixels": pa.binary(3 * size_px * size_px)})


def _pixels(record_batch: pa.RecordBatch, size_px: int) -> np.ndarray:
    """The pixels as uint8, N × 3 × size × size: a view of the record batch."""
    column = record_batch.column("pixels")
    flat = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 3, size_px, size_px)
    return flat[column.offset : column.offset + len(column)]


class ShardWriter:
    """Writes the shards of a day one after the other; `written` counts what is stored so far."""

    def __init__(self, store: ObjectStore, prefix: str, size_px: int, shard_images: int) -> None:
        self.store, self.prefix, self.size_px, self.shard_images = store, prefix, size_px, shard_images
        self.written = Written(0, 0, 0, 0)
        self._shard: _OpenShard | None = None

    def add(self, item: Tensor | TensorFailure) -> None:
        self._shard = self._shard or _OpenShard(self.store, self.prefix, self.size_px)
        self._shard.add(item)
        if len(self._shard.rows) + len(self._shard.failures) >= self.shard_images:
            self.close()

    def close(self) -> None:
        """Close the current shard, if any; `add` begins a new one."""
        if self._shard is not None:
            full, self._shard = self._shard, None
            self.written = full.close_into(self.written)


class _OpenShard:
    """A shard being written. Its file is opened with the first tensor, so that failures alone make only an index."""

    def __init__(self, store: ObjectStore, prefix: str, size_px: int) -> None:
        self.store, self.prefix, self.size_px = store, prefix, size_px
        self.name = uuid.uuid4().hex
        self.rows: list[tuple[str, str]] = []
        self.failures: list[TensorFailure] = []
        self._held: list[Tensor] = []
        self._file: Upload | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._bytes = 0
        self._batches: list[Place] = []

    def add(self, item: Tensor | TensorFailure) -> None:
        if isinstance(item, TensorFailure):
            self.failures.append(item)
            return
        self.rows.append((item.image_id, item.sha256))
        self._held.append(item)
        if len(self._held) == ROWS_PER_RECORD_BATCH:
            self._flush()

    def close_into(self, total: Written) -> Written:
        if self._held:
            self._flush()
        if self._writer is not None and self._file is not None:
            self._writer.close()
            self._file.close()
        index = {
            "shard": f"{self.name}.arrow" if self.rows else None,
            # Position of each record batch (start and size in bytes, rows), so that few photos need few batches.
            "batches": self._batches,
            "images": self.rows,
            "failures": [vars(failure) for failure in self.failures],
        }
        self.store.put(f"{self.prefix}{self.name}.json", json.dumps(index).encode())
        return Written(
            total.tensors + len(self.rows),
            total.failures + len(self.failures),
            total.shards + bool(self.rows),
            total.bytes_written + self._bytes,
        )

    def _flush(self) -> None:
        schema = _schema(self.size_px)
        pixels = np.stack([tensor.pixels for tensor in self._held])
        values = pa.FixedSizeBinaryArray.from_buffers(
            schema.field("pixels").type, len(self._held), [None, pa.py_buffer(np.ascontiguousarray(pixels))]
        )
        image_ids = pa.array([tensor.image_id for tensor in self._held], pa.string())
        sha256s = pa.array([tensor.sha256 for tensor in self._held], pa.string())
        batch = pa.record_batch([image_ids, sha256s, values], schema=schema)
        if self._file is None or self._writer is None:
            self._file = self.store.open_writer(f"{self.prefix}{self.name}.arrow")
            self._writer = pa.ipc.new_stream(self._file, schema)
        start_bytes = self._file.tell() or schema.serialize().size  # the schema is written with the first batch
        self._writer.write_batch(batch)
        self._batches.append((start_bytes, self._file.tell() - start_bytes, len(batch)))
        self._bytes += batch.nbytes
        self._held = []
