"""The lake as a resource: its store from the settings, secrets from the environment alone."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.object_writer import ObjectWithMetadata
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.rules.registry import build_rules
from shelf_assets.lake.store_options import store_options
from shelf_assets.settings import Settings, load_settings
from shelf_assets.vision.engine import Bounds, StageTimer, read_each

if TYPE_CHECKING:
    from dagster_deltalake import DeltaTableResource

Result = TypeVar("Result")


def lake_of(settings: Settings) -> Lake:
    """The lake that the settings name."""
    near = NearDuplicates(
        bits=settings.photos.near_duplicate_bits,
        days=settings.photos.near_duplicate_days,
        skip=settings.photos.near_duplicates == "skip",
    )
    return Lake(settings.lake.url, store_options(settings), build_rules(near))


class LakeResource(dg.ConfigurableResource):
    """The lake at `url`. Credentials are no part of the configuration, so that no page of the UI can show them."""

    url: str

    @cached_property
    def settings(self) -> Settings:
        return load_settings(lake__url=self.url)

    @cached_property
    def lake(self) -> Lake:
        return lake_of(self.settings)

    def delta_table(self, name: str) -> "DeltaTableResource":
        """dagster-deltalake's resource for one of the lake's tables."""
        # Its package imports pandas, 0.4 CPU-s that no stage should pay: the stages' tables are `self.lake.table(name)`.
        from dagster_deltalake import DeltaTableResource, LocalConfig, S3Config
        from dagster_deltalake.config import ClientConfig

        options = store_options(self.settings)
        plain_http = options.pop("allow_http", None)
        return DeltaTableResource(
            url=self.lake.table(name).uri,
            storage_options=S3Config.model_validate(options) if self.settings.lake.on_s3 else LocalConfig(),
            client_options=ClientConfig(allow_http=True if plain_http else None),
        )

    def read_each(
        self,
        photos: pl.DataFrame,
        work: Callable[[StoredObject, bytes | None], Result],
        clock: StageTimer | None = None,
    ) -> Iterator[Result]:
        """Read every photo (key, size_bytes, etag, received_at) once and yield `work`'s results, within the settings' bounds."""
        return read_each(_objects(photos), self.lake.objects.find, work, self._bounds, clock)

    def read_with_metadata(
        self,
        photos: pl.DataFrame,
        work: Callable[[StoredObject, ObjectWithMetadata | None], Result],
        clock: StageTimer | None = None,
    ) -> Iterator[Result]:
        """`read_each` for who wants the facts beside the bytes."""
        return read_each(_objects(photos), self.lake.object_writer.find, work, self._bounds, clock)

    @property
    def _bounds(self) -> Bounds:
        return Bounds(
            in_flight_objects=self.settings.vision.in_flight_objects,
            in_flight_bytes=self.settings.vision.in_flight_bytes,
            work_slots=self.settings.vision.decode_slots,
            skip_above_bytes=self.settings.photos.max_bytes,
        )


def _objects(photos: pl.DataFrame) -> Iterator[StoredObject]:
    return (StoredObject(*row) for row in photos.select("key", "size_bytes", "etag", "received_at").iter_rows())
