"""The index of a day's tensors: read once from the indexes beside its shards, then queried.

How shards are written and read belongs in `tensor_store`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl

from shelf_assets.lake.object_store import ObjectStore

# An index is a small object: reading it costs one request, 30 ms on S3. A day of 100,000 photos has a hundred of them.
_READ_AT_ONCE = 16

# Position of a record batch in its shard: start and size in bytes, rows.
Place = tuple[int, int, int]


@dataclass(frozen=True)
class TensorIndex:
    """A day's tensors at the moment when its indexes were read.

    `entries` has one row per sha256, a tensor or a failure: image_id, sha256, shard (null for a failure), row, reason,
    detail. A tensor belongs to bytes: it serves every photo with these bytes, whatever image_id it was made for. `places`
    are the record batches of each shard; shards of an older version are missing there.
    """

    entries: pl.DataFrame
    places: Mapping[str, Sequence[Place]]

    @property
    def tensors(self) -> pl.DataFrame:
        """The entries that are tensors."""
        return self.entries.filter(pl.col("reason").is_null())

    @property
    def failures(self) -> pl.DataFrame:
        """The entries for which no tensor could be made."""
        return self.entries.filter(pl.col("reason").is_not_null())

    def missing(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos without a tensor or a failure; failures with the reason `gone` are tried again."""
        final = self.entries.filter(pl.col("reason").is_null() | (pl.col("reason") != "gone"))
        return accepted.join(final, on="sha256", how="anti")

    def ready(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos that have a tensor."""
        return accepted.join(self.tensors, on="sha256", how="semi")

    def not_failed(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos that have a tensor or may get one."""
        return accepted.join(self.failures, on="sha256", how="anti")


def read_index(store: ObjectStore, prefix: str) -> TensorIndex:
    """Read the index of the day under this prefix from the indexes of all its shards."""
    listed = sorted(stored.key for stored in store.list(prefix))
    with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="index") as pool:
        read = list(pool.map(lambda key: json.loads(store.get(key)), (key for key in listed if key.endswith(".json"))))
    rows = [row for entry in read for row in _rows(entry)]
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    # A bucket's expiry may delete a shard before its index: its tensors must be made again.
    shards = [key.removeprefix(prefix) for key in listed if key.endswith(".arrow")]
    frame = frame.filter(pl.col("shard").is_null() | pl.col("shard").is_in(shards))
    # A tensor that a later run made replaces a failure, and a reason found in the bytes replaces `gone`.
    rank = pl.col("reason").is_not_null().cast(pl.Int8) + (pl.col("reason") == "gone").fill_null(False)
    entries = frame.sort(rank, maintain_order=True).unique("sha256", keep="first", maintain_order=True)
    return TensorIndex(entries, {entry["shard"]: entry["batches"] for entry in read if "batches" in entry})


def _rows(entry: dict[str, Any]) -> list[tuple]:
    images, failures = enumerate(entry["images"]), entry["failures"]
    rows: list[tuple] = [(image_id, sha256, entry["shard"], row, None, None) for row, (image_id, sha256) in images]
    return rows + [(f["image_id"], f["sha256"], None, None, f["reason"], f["detail"]) for f in failures]


_SCHEMA = {
    "image_id": pl.String,
    "sha256": pl.String,
    "shard": pl.String,
    "row": pl.Int64,
    "reason": pl.String,
    "detail": pl.String,
}
