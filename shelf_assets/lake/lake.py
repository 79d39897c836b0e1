"""The lake as one thing: its tables, its objects and its tensors, by one URL. Importable in a notebook; no Dagster here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.near_duplicates import BY_DEFAULT, NearDuplicates
from shelf_assets.lake.object_store import ObjectStore, day_prefix
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.lake.schemas import TABLES
from shelf_assets.lake.tensor_store import TensorDay


@dataclass(frozen=True)
class Lake:
    """`url` is file:///folder or s3://bucket/prefix; `storage_options` are those of delta-rs (none for a folder).

    `near` is which photos look alike: it matters to who commits raw_images.
    """

    url: str
    storage_options: Mapping[str, str] = field(default_factory=dict)
    near: NearDuplicates = BY_DEFAULT

    @property
    def objects(self) -> ObjectStore:
        return ObjectStore.of_delta(self.url, self.storage_options)

    @property
    def object_writer(self) -> ObjectWriter:
        """The objects with the facts that their door has written beside them."""
        return ObjectWriter(self.objects)

    def table(self, name: str) -> LakeTable:
        if name not in TABLES:
            raise KeyError(f"no table {name!r} is declared; there are {', '.join(TABLES)}")
        return LakeTable(TABLES[name], f"{self.url}/tables/{name}", self.storage_options, self.near)

    def tensors(self, day: date, geometry_digest: str, size_px: int) -> TensorDay:
        return TensorDay(self.objects, geometry_digest, day, size_px)

    def listing(self, day: date) -> pl.DataFrame:
        """One row per object under the day's prefix: key, size_bytes, etag, received_at."""
        rows = [(o.key, o.size_bytes, o.etag, o.received_at) for o in self.objects.list(day_prefix(day))]
        schema: dict[str, Any] = {
            "key": pl.String,
            "size_bytes": pl.Int64,
            "etag": pl.String,
            "received_at": pl.Datetime("us", "UTC"),
        }
        return pl.DataFrame(rows, schema=schema, orient="row").sort("key")

    def accepted(self, day: date) -> pl.DataFrame:
        """The day's accepted photos: image_id, sha256, key, size_bytes, etag, received_at."""
        rows = self.table("raw_images").scan(day, day).filter(pl.col("status") == "accepted")
        return rows.select("image_id", "sha256", "key", "size_bytes", "etag", "received_at").collect()
