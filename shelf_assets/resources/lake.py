"""The lake as a resource: its store from the settings, secrets from the environment alone."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.store_options import store_options
from shelf_assets.settings import Settings, load_settings
from shelf_assets.vision.engine import Bounds, Clock, read_each

if TYPE_CHECKING:
    from dagster_deltalake import DeltaTableResource

Result = TypeVar("Result")


def lake_of(settings: Settings) -> Lake:
    """The lake that the settings name."""
    return Lake(settings.lake_url, store_options(settings))


class LakeResource(dg.ConfigurableResource):
    """The lake at `url`. Credentials are no part of the configuration, so that no page of the UI can show them."""

    url: str

    @cached_property
    def settings(self) -> Settings:
        return load_settings(lake=self.url)

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
            storage_options=S3Config.model_validate(options) if self.settings.on_s3 else LocalConfig(),
            client_options=ClientConfig(allow_http=True if plain_http else None),
        )

    def read_each(
        self,
        photos: pl.DataFrame,
        work: Callable[[StoredObject, bytes | None], Result],
        clock: Clock | None = None,
    ) -> Iterator[Result]:
        """Read every photo (key, size_bytes, etag, received_at) once and yield `work`'s results, within the settings' bounds."""
        columns = photos.select("key", "size_bytes", "etag", "received_at")
        bounds = Bounds(
            in_flight_objects=self.settings.in_flight_objects,
            in_flight_bytes=self.settings.in_flight_bytes,
            work_slots=self.settings.decode_slots,
            skip_above_bytes=self.settings.max_photo_bytes,
        )
        objects = (StoredObject(*row) for row in columns.iter_rows())
        return read_each(objects, self.lake.objects.find, work, bounds, clock)
