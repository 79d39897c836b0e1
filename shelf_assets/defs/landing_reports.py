"""What the catalogue is told of a day's landed objects: one event per state of the day's listing, whoever sees it first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date

import dagster as dg

LANDING = dg.AssetKey("landing")
NO_PHOTOS = "empty"
# Key below the lake's root, entity tag, size in bytes.
Listing = list[tuple[str, str, int]]


def digest(listing: Iterable[tuple[str, str, int]]) -> str:
    """SHA-256 of a listing, whatever its order and however its client quotes entity tags."""
    return hashlib.sha256(
        json.dumps(sorted((key, etag.strip('"'), size) for key, etag, size in listing)).encode()
    ).hexdigest()


def landing_report(day: date, listing: Listing) -> dg.AssetMaterialization:
    """The day's landing as it was listed; its data version is the listing's digest, NO_PHOTOS without any."""
    return dg.AssetMaterialization(
        LANDING,
        partition=day.isoformat(),
        metadata={"photos": len(listing), "bytes": sum(size for _, _, size in listing)},
        tags={"dagster/data_version": digest(listing) if listing else NO_PHOTOS},
    )


def is_reported(instance: dg.DagsterInstance, report: dg.AssetMaterialization) -> bool:
    """Whether the newest report of that day tells of the same listing. A run that lists a day reports it too: the sensor
    would otherwise take what was just worked on for news, and have it worked on again."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=LANDING, asset_partitions=[report.partition or ""]), limit=1
    ).records
    newest = records[0].asset_materialization if records else None
    return newest is not None and _data_version(newest) == _data_version(report)


def _data_version(event: dg.AssetMaterialization) -> str | None:
    return (event.tags or {}).get("dagster/data_version")
