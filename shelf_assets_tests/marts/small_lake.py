"""A lake of three days, small enough to count by hand, written with delta-rs. No dbt and no test here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import duckdb
import polars as pl
from deltalake import DeltaTable, write_deltalake

from shelf_assets.lake.duckdb_delta import prepare_connection
from shelf_assets.registry import tables

FULL_DAY, EMPTY_DAY, LAST_DAY = date(2025, 3, 1), date(2025, 3, 2), date(2025, 3, 3)
DAYS = (FULL_DAY, EMPTY_DAY, LAST_DAY)


@dataclass(frozen=True)
class SmallLake:
    url: str
    storage_options: Mapping[str, str] = field(default_factory=dict)
    aws_environment: Mapping[str, str] = field(default_factory=dict)

    def append(self, name: str, rows: list[dict[str, Any]]) -> None:
        frame = pl.DataFrame(rows, schema=tables()[name].schema)
        write_deltalake(
            self._uri(name),
            frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
            mode="append",
            partition_by=["day"],
            storage_options=dict(self.storage_options),
        )

    def clear_day(self, name: str, day: date) -> None:
        DeltaTable(self._uri(name), storage_options=dict(self.storage_options)).delete(f"day = '{day}'")

    def rows(self, name: str) -> pl.DataFrame:
        # polars' scan_delta cannot open a folder with a space in its name.
        with duckdb.connect() as connection:
            prepare_connection(connection, self.url, self.aws_environment)
            return connection.execute("SELECT * FROM delta_scan(?)", [self._uri(name)]).pl()

    def _uri(self, name: str) -> str:
        return f"{self.url}/tables/{name}"


def photo(
    day: date,
    image_id: str,
    status: str = "accepted",
    reason: str | None = None,
    size: int = 1_000,
    *,
    group: str | None = None,
    uploader: str | None = None,
) -> dict[str, Any]:
    """Row of raw_images. No `group` gives null, as in rows that were written before groups existed."""
    seen = status != "rejected"
    return {
        "day": day,
        "image_id": image_id,
        "key": f"images/{day:%Y/%m/%d}/{image_id}",
        "size_bytes": size,
        "etag": f"etag-{image_id}",
        "sha256": None if reason == "empty" else f"sha-{image_id}",
        "format": "jpeg" if seen else None,
        "width_px": 640 if seen else None,
        "height_px": 480 if seen else None,
        "exif_orientation": 1 if seen else None,
        "received_at": _at(day, 8),
        "status": status,
        "reason": reason,
        "reason_detail": reason,
        "duplicate_of": "p0" if status == "duplicate" else None,
        "perceptual_hash": -1 if group else None,
        "near_duplicate_group": group,
        "uploader": uploader,
    }


def prediction(
    day: date,
    image_id: str,
    label: str,
    confidence: float,
    *,
    model: str = "resnet",
    digest: str = "d1",
    preprocess: str = "p1",
    hour: int = 10,
    sha256: str | None = None,
) -> dict[str, Any]:
    """Row of classifications."""
    return {
        "day": day,
        "image_id": image_id,
        "sha256": sha256 or f"sha-{image_id}",
        "model_id": model,
        "model_digest": digest,
        "preprocess_digest": preprocess,
        "label": label,
        "confidence": confidence,
        "labels": [label],
        "scores": [confidence],
        "inferred_at": _at(day, hour),
    }


def quality(
    day: date,
    image_id: str,
    brightness_mean: float,
    *,
    blurred: bool = False,
    digest: str = "m1",
    sha256: str | None = None,
) -> dict[str, Any]:
    """Row of image_quality."""
    return {
        "day": day,
        "image_id": image_id,
        "sha256": sha256 or f"sha-{image_id}",
        "model_id": f"quality-{digest}",
        "model_digest": digest,
        "preprocess_digest": "p1",
        "laplacian_variance": 10.0 if blurred else 400.0,
        "is_blurred": blurred,
        "brightness_mean": brightness_mean,
        "contrast_std": 40.0,
        "clipped_dark_share": 0.0,
        "clipped_bright_share": 0.0,
        "inferred_at": _at(day, 9 + int(digest[1:])),
    }


def stage_run(
    day: date, run_id: str, stage: str, images: int, wall_seconds: float, model_id: str | None = None
) -> dict[str, Any]:
    """Row of stage_runs."""
    return {
        "day": day,
        "run_id": run_id,
        "stage": stage,
        "model_id": model_id,
        "device": "cpu",
        "images": images,
        "bytes_read": images * 1_000,
        "wall_seconds": wall_seconds,
        "cpu_seconds": wall_seconds * 2,
        "peak_memory_bytes": 500_000_000 + images,
        "finished_at": _at(day, 12),
    }


def write_three_days(lake: SmallLake) -> None:
    """A full day (copies, rejects, model versions, two models), an empty day, a day of one photo.

    p2 and p3 are near-duplicates of p0 by the same uploader. p5 has neither a group nor an uploader.
    """
    groups = ["p0", "p1", "p0", "p0", "p4", None]
    uploaders = ["eager", "calm", "eager", "eager", "quiet", None]
    lake.append(
        "raw_images",
        [
            photo(FULL_DAY, f"p{n}", size=1_000 + n, group=group, uploader=uploader)
            for n, (group, uploader) in enumerate(zip(groups, uploaders, strict=True))
        ],
    )
    lake.append(
        "raw_images",
        [
            photo(FULL_DAY, "copy1", "duplicate", group="p0", uploader="calm"),
            photo(FULL_DAY, "copy2", "duplicate", "near_duplicate", group="p0", uploader="late"),
            photo(FULL_DAY, "bad1", "rejected", "truncated", size=77, uploader="clumsy"),
            photo(FULL_DAY, "bad2", "rejected", "truncated", size=78),
            photo(FULL_DAY, "bad3", "rejected", "empty", size=0),
            photo(LAST_DAY, "q0"),
        ],
    )
    lake.append(
        "classifications",
        [
            prediction(FULL_DAY, "p0", "jar", 0.35),  # on the low-confidence threshold: not below it
            prediction(FULL_DAY, "p1", "jar", 0.34),
            prediction(FULL_DAY, "p2", "bottle", 1.0),  # closes the last bin of the histogram
            prediction(FULL_DAY, "p3", "bottle", 0.0),
            prediction(FULL_DAY, "p4", "can", 0.55),
            prediction(FULL_DAY, "p5", "can", 0.65),
            # Must not be counted: old bytes of an overwritten photo, and a photo that was rejected later.
            prediction(FULL_DAY, "p5", "ghost", 0.9, digest="d0", sha256="sha-before", hour=23),
            prediction(FULL_DAY, "bad1", "ghost", 0.9),
            # Two photos have a newer prediction: a new model version, and a changed preprocessing only.
            prediction(FULL_DAY, "p0", "bottle", 0.8, digest="d2", hour=11),
            prediction(FULL_DAY, "p1", "jar", 0.7, preprocess="p2", hour=11),
            prediction(FULL_DAY, "p0", "box", 0.5, model="lite0", digest="e1"),
            prediction(LAST_DAY, "q0", "jar", 0.91),
        ],
    )
    lake.append(
        "image_quality",
        [
            quality(FULL_DAY, "p0", 100.0, blurred=True),
            quality(FULL_DAY, "p1", 120.0),
            quality(FULL_DAY, "p2", 140.5),
            quality(FULL_DAY, "p3", 250.0),
            # A newer method; then two rows that must not count: old bytes of an overwritten photo, and a rejected photo.
            quality(FULL_DAY, "p3", 160.0, blurred=True, digest="m2"),
            quality(FULL_DAY, "p5", 0.0, sha256="sha-before"),
            quality(FULL_DAY, "bad1", 0.0),
            quality(LAST_DAY, "q0", 90.0),
        ],
    )
    lake.append(
        "stage_runs",
        [
            stage_run(FULL_DAY, "run1", "raw_images", 11, 2.0),
            stage_run(FULL_DAY, "run1", "classifications", 6, 3.0, "resnet"),
            stage_run(FULL_DAY, "run2", "classifications", 2, 1.0, "resnet"),
            stage_run(EMPTY_DAY, "run3", "raw_images", 0, 0.0),
            stage_run(LAST_DAY, "run4", "clip_embeddings", 1, 7.2, "clip"),
        ],
    )


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)
