"""The lake: its tables, objects and tensors under one URL. Usable in a notebook; imports no Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.object_store import ObjectStore, day_prefix
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.lake.rules.registry import RuleFunction, build_rules
from shelf_assets.lake.schemas import ACCEPTED, RAW_IMAGES, Rule
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.registry import tables


@dataclass(frozen=True)
class Lake:
    """The lake at `url` (file:///folder or s3://bucket/prefix), with the storage options of delta-rs (none for a folder).

    `rules` are the functions by which its tables commit, see `rules.registry`.
    """

    url: str
    storage_options: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[Rule, RuleFunction] = field(default_factory=build_rules)

    @property
    def objects(self) -> ObjectStore:
        return ObjectStore.of_delta(self.url, self.storage_options)

    @property
    def object_writer(self) -> ObjectWriter:
        """Durable writes of objects with metadata."""
        return ObjectWriter(self.objects)

    def table(self, name: str) -> LakeTable:
        declared = tables()
        if name not in declared:
            raise KeyError(f"no table {name!r} is declared; there are {', '.join(declared)}")
        spec = declared[name]
        return LakeTable(spec, f"{self.url}/tables/{name}", self.storage_options, self.rules[spec.rule])

    def create_tables(self) -> None:
        """Create the declared tables that do not exist yet, empty, for readers of all tables."""
        for name, spec in tables().items():
            self.table(name).commit(spec.empty())

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
        rows = self.table(RAW_IMAGES.name).scan(day, day).filter(pl.col("status") == ACCEPTED)
        return rows.select("image_id", "sha256", "key", "size_bytes", "etag", "received_at").collect()
