"""How a day's tensors rest: Arrow IPC streams of uint8 pixels, each with a small index beside it, read back batch by batch.

Layout, under the lake: `tensors/<geometry digest>/<day>/<name>.arrow` and `<name>.json`. A shard counts from the moment its
index is written, which is after the shard itself: a killed run leaves at most a shard without index, which nobody reads.
Indexes are never changed, so two runs of a day do not disturb each other; a photo in two of them is read once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa

from shelf_assets.lake.object_store import ObjectStore, Upload
from shelf_assets.lake.schemas import require_day

# 64 tensors are 9.6 MB: what a reader holds, whatever the shard's size.
ROWS_PER_RECORD_BATCH = 64


@dataclass(frozen=True)
class Tensor:
    """One accepted image: `pixels` uint8, 3 × size × size, RGB, EXIF-upright, not normalised."""

    image_id: str
    sha256: str
    pixels: np.ndarray


@dataclass(frozen=True)
class TensorFailure:
    """An accepted image of which no tensor could be made, and why."""

    image_id: str
    sha256: str
    reason: str
    detail: str


@dataclass(frozen=True)
class TensorBatch:
    """`pixels`: uint8, N × 3 × size × size, in the order of `image_ids` and `sha256s`."""

    image_ids: list[str]
    sha256s: list[str]
    pixels: np.ndarray


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

    def index(self) -> pl.DataFrame:
        """One row per tensor or failure: image_id, sha256, shard (null for a failure), row, reason, detail."""
        frames = [self._entries(stored.key) for stored in self.store.list(self.prefix) if stored.key.endswith(".json")]
        rows = [row for entries in sorted(frames, key=lambda entries: entries[0]) for row in entries[1]]
        frame = pl.DataFrame(rows, schema=_INDEX_SCHEMA, orient="row")
        # A failure gives way to a tensor that a later run could make, and `gone` to a reason found in the bytes.
        rank = pl.col("reason").is_not_null().cast(pl.Int8) + (pl.col("reason") == "gone").fill_null(False)
        return frame.sort(rank, maintain_order=True).unique(["image_id", "sha256"], keep="first", maintain_order=True)

    def missing(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos that have no tensor here yet; those that failed before are tried again only if `gone`."""
        settled = self.index().filter(pl.col("reason").is_null() | (pl.col("reason") != "gone"))
        return accepted.join(settled, on=["image_id", "sha256"], how="anti")

    def ready(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos that have a tensor here."""
        made = self.index().filter(pl.col("reason").is_null())
        return accepted.join(made, on=["image_id", "sha256"], how="semi")

    def write(self, items: Iterable[Tensor | TensorFailure], shard_images: int) -> Written:
        """Write a stream of tensors, holding one record batch at a time; a shard is kept as soon as it is full.

        When the stream stops early (an error, Ctrl-C) the shard under way is closed and kept.
        """
        written = Written(0, 0, 0, 0)
        shard: _OpenShard | None = None
        try:
            for item in items:
                shard = shard or _OpenShard(self.store, self.prefix, self.size_px)
                shard.add(item)
                if len(shard.rows) + len(shard.failures) >= shard_images:
                    full, shard = shard, None
                    written = full.close_into(written)
        finally:
            if shard is not None:
                written = shard.close_into(written)
        return written

    def batches(self, wanted: pl.DataFrame, batch_size: int) -> Iterator[TensorBatch]:
        """Tensors of the wanted photos (image_id, sha256) in batches of batch_size, one record batch in memory."""
        index = self.index().filter(pl.col("reason").is_null())
        chosen = index.join(wanted.unique(["image_id", "sha256"]), on=["image_id", "sha256"], how="semi")
        pending: list[tuple[str, str, np.ndarray]] = []
        for (shard,), rows in chosen.group_by("shard", maintain_order=True):
            wanted_rows = dict(zip(rows["row"], zip(rows["image_id"], rows["sha256"], strict=True), strict=True))
            for row, pixels in self._rows(str(shard)):
                if row in wanted_rows:
                    pending.append((*wanted_rows[row], pixels))
                    if len(pending) == batch_size:
                        yield _batch(pending)
                        pending = []
        if pending:
            yield _batch(pending)

    def _rows(self, shard: str) -> Iterator[tuple[int, np.ndarray]]:
        shape = (3, self.size_px, self.size_px)
        row = 0
        with pa.ipc.open_stream(pa.PythonFile(self.store.open_reader(self.prefix + shard), mode="r")) as reader:
            for record_batch in reader:
                column = record_batch.column("pixels")
                flat = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, *shape)
                for position in range(len(column)):
                    yield row, flat[column.offset + position]
                    row += 1

    def _entries(self, key: str) -> tuple[str, list[tuple]]:
        entry = json.loads(self.store.get(key))
        rows: list[tuple] = [
            (image_id, sha256, entry["shard"], row, None, None)
            for row, (image_id, sha256) in enumerate(entry["images"])
        ]
        rows += [(f["image_id"], f["sha256"], None, None, f["reason"], f["detail"]) for f in entry["failures"]]
        return key, rows


_INDEX_SCHEMA = {
    "image_id": pl.String,
    "sha256": pl.String,
    "shard": pl.String,
    "row": pl.Int64,
    "reason": pl.String,
    "detail": pl.String,
}


def _batch(rows: list[tuple[str, str, np.ndarray]]) -> TensorBatch:
    return TensorBatch([row[0] for row in rows], [row[1] for row in rows], np.stack([row[2] for row in rows]))


class _OpenShard:
    """A shard under way. Its file is opened with the first tensor, so that failures alone make only an index."""

    def __init__(self, store: ObjectStore, prefix: str, size_px: int) -> None:
        self.store, self.prefix, self.size_px = store, prefix, size_px
        self.name = uuid.uuid4().hex
        self.rows: list[tuple[str, str]] = []
        self.failures: list[TensorFailure] = []
        self._held: list[Tensor] = []
        self._file: Upload | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._bytes = 0

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
        width = 3 * self.size_px * self.size_px
        pixels = np.stack([tensor.pixels for tensor in self._held])
        values = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), len(self._held), [None, pa.py_buffer(np.ascontiguousarray(pixels))]
        )
        batch = pa.record_batch(
            {
                "image_id": [tensor.image_id for tensor in self._held],
                "sha256": [tensor.sha256 for tensor in self._held],
                "pixels": values,
            }
        )
        if self._writer is None:
            self._file = self.store.open_writer(f"{self.prefix}{self.name}.arrow")
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
        self._writer.write_batch(batch)
        self._bytes += batch.nbytes
        self._held = []
