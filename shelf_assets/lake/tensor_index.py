"""What tensors a day has: the indexes beside its shards, read once for a pass, and the questions asked of them.

How shards are written and read belongs in `shards`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl

from shelf_assets.lake.object_store import ObjectStore

# An index is a small object: what reading it costs is the store's answer, 30 ms on S3. A day of 100,000 has a hundred.
_READ_AT_ONCE = 16

# Where a record batch lies in its shard: start and size in bytes, rows.
Place = tuple[int, int, int]


@dataclass(frozen=True)
class TensorIndex:
    """A day's tensors as they were when its indexes were read.

    `entries` has one row per sha256, a tensor or a failure: image_id, sha256, shard (null for a failure), row, reason,
    detail. A tensor is one of bytes: it serves every photo that has them, whatever image_id it was made for. `places` are
    those of a shard's record batches; shards of an older version are not in it.
    """

    entries: pl.DataFrame
    places: Mapping[str, Sequence[Place]]

    @property
    def tensors(self) -> pl.DataFrame:
        """The entries that are tensors."""
        return self.entries.filter(pl.col("reason").is_null())

    @property
    def failures(self) -> pl.DataFrame:
        """The entries of which no tensor could be made."""
        return self.entries.filter(pl.col("reason").is_not_null())

    def missing(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos that have no tensor here yet; those that failed before are tried again only if `gone`."""
        settled = self.entries.filter(pl.col("reason").is_null() | (pl.col("reason") != "gone"))
        return accepted.join(settled, on="sha256", how="anti")

    def ready(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos that have a tensor here."""
        return accepted.join(self.tensors, on="sha256", how="semi")

    def not_failed(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """The accepted photos of which a tensor is here or may be made."""
        return accepted.join(self.failures, on="sha256", how="anti")


def read_index(store: ObjectStore, prefix: str) -> TensorIndex:
    """The index of the day under this prefix, from all of its shards'."""
    listed = sorted(stored.key for stored in store.list(prefix))
    with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="index") as pool:
        read = list(pool.map(lambda key: json.loads(store.get(key)), (key for key in listed if key.endswith(".json"))))
    rows = [row for entry in read for row in _rows(entry)]
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    # A bucket's expiry may take a shard before its index: its tensors are to be made again.
    shards = [key.removeprefix(prefix) for key in listed if key.endswith(".arrow")]
    frame = frame.filter(pl.col("shard").is_null() | pl.col("shard").is_in(shards))
    # A failure gives way to a tensor that a later run could make, and `gone` to a reason found in the bytes.
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
