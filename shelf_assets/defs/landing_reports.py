"""Reports of a day's landed objects for the catalogue: one event for each state of the day's listing."""

import hashlib
import json

import dagster as dg
import polars as pl

LANDING = dg.AssetKey("landing")
NO_PHOTOS = "empty"


def digest(listed: pl.DataFrame) -> str:
    """SHA-256 of a listing (key, etag, size_bytes, …); independent of its order and of quotes around entity tags."""
    rows = listed.select("key", "etag", "size_bytes").iter_rows()
    return hashlib.sha256(
        json.dumps(sorted((key, etag.strip('"'), size) for key, etag, size in rows)).encode()
    ).hexdigest()


def landing_report(day: object, listed: pl.DataFrame) -> dg.AssetMaterialization:
    """The report of a day's listing; its data version is the listing's digest, or NO_PHOTOS if it is empty."""
    return dg.AssetMaterialization(
        LANDING,
        partition=str(day),
        metadata={"photos": listed.height, "bytes": int(listed["size_bytes"].sum())},
        tags={"dagster/data_version": digest(listed) if listed.height else NO_PHOTOS},
    )


def is_reported(instance: dg.DagsterInstance, report: dg.AssetMaterialization) -> bool:
    """Whether the newest report of that day is of the same listing.

    Runs report the days that they list, too; otherwise the sensor would treat a finished day as changed and run it again.
    """
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=LANDING, asset_partitions=[report.partition or ""]), limit=1
    ).records
    newest = records[0].asset_materialization if records else None
    return newest is not None and _data_version(newest) == _data_version(report)


def _data_version(event: dg.AssetMaterialization) -> str | None:
    return (event.tags or {}).get("dagster/data_version")
