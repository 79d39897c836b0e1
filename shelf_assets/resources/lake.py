"""The lake as a resource: storage options from dagster-deltalake's typed configuration, secrets from the environment alone."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar

import dagster as dg
import polars as pl
from dagster_deltalake import DeltaTableResource, LocalConfig, S3Config
from dagster_deltalake.config import ClientConfig

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.settings import Settings, load_settings

Result = TypeVar("Result")


def storage_config(settings: Settings) -> S3Config | LocalConfig:
    """dagster-deltalake's configuration of the store; without keys, S3 clients ask for the pod's role."""
    if not settings.on_s3:
        return LocalConfig()
    secret, token = settings.s3_secret_access_key, settings.s3_session_token
    return S3Config(
        access_key_id=settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        token=token.get_secret_value() if token else None,
        region=settings.s3_region,
        endpoint=settings.s3_endpoint_url,
    )


def client_config(settings: Settings) -> ClientConfig:
    plain_http = (settings.s3_endpoint_url or "").startswith("http://")
    return ClientConfig(allow_http=True if settings.on_s3 and plain_http else None)


def lake_of(settings: Settings) -> Lake:
    """The lake that the settings name."""
    options = storage_config(settings).str_dict() | client_config(settings).str_dict()
    # delta-rs and obstore know S3's own options only.
    known = {key: value for key, value in options.items() if key not in ("provider", "imdsv1_fallback")}
    return Lake(settings.lake_url, known)


class LakeResource(dg.ConfigurableResource):
    """The lake at `url`. Credentials are no part of the configuration, so that no page of the UI can show them."""

    url: str

    @cached_property
    def settings(self) -> Settings:
        return load_settings(lake=self.url)

    @cached_property
    def lake(self) -> Lake:
        return lake_of(self.settings)

    def delta_table(self, name: str) -> DeltaTableResource:
        """dagster-deltalake's resource for one of the lake's tables."""
        return DeltaTableResource(
            url=self.lake.table(name).uri,
            storage_options=storage_config(self.settings),
            client_options=client_config(self.settings),
        )

    def read_each(self, photos: pl.DataFrame, work: Callable[[StoredObject, bytes | None], Result]) -> Iterator[Result]:
        """Read every photo (key, size_bytes, etag, received_at) once and yield `work`'s results, within the settings' bounds."""
        columns = photos.select("key", "size_bytes", "etag", "received_at")
        return self.lake.objects.read_each(
            (StoredObject(*row) for row in columns.iter_rows()),
            work,
            in_flight_objects=self.settings.in_flight_objects,
            in_flight_bytes=self.settings.in_flight_bytes,
            work_slots=self.settings.decode_slots,
            skip_above_bytes=self.settings.max_photo_bytes,
        )
