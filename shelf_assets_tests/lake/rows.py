"""Short constructors of rows for the tests of the lake. No test here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import polars as pl

from shelf_assets.lake.object_store import day_prefix, image_id_of
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.schemas import ACCEPTED, RAW_IMAGES, STAGE_RUNS
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS

DAY = date(2025, 3, 1)
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def sha(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()


def photo(name: str, content: object, day: date = DAY, **changed: object) -> dict[str, object]:
    """A row of raw_images before the merge."""
    key = f"{day_prefix(day)}{name}"
    return {
        "day": day,
        "image_id": image_id_of(key),
        "key": key,
        "size_bytes": 1000,
        "etag": sha(content)[:8],
        "sha256": sha(content),
        "format": "jpeg",
        "width_px": 640,
        "height_px": 480,
        "exif_orientation": 1,
        "received_at": NOON,
        "status": ACCEPTED,
        "reason": None,
        "reason_detail": None,
        "duplicate_of": None,
        # Photos with different bytes have different perceptual hashes by default.
        "perceptual_hash": int.from_bytes(bytes.fromhex(sha(content))[:8], "big", signed=True),
        "near_duplicate_group": None,
        "uploader": None,
    } | changed


def photos(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=RAW_IMAGES.schema)


def prediction(name: str, content: object = "bytes", model: str = "m", day: date = DAY) -> dict[str, object]:
    """A row of classifications."""
    return {
        "day": day,
        "image_id": name,
        "sha256": sha(content),
        "model_id": model,
        "model_digest": model,
        "preprocess_digest": "p",
        "label": f"{name} {content}",
        "confidence": 0.5,
        "labels": ["a", "b"],
        "scores": [0.5, 0.25],
        "inferred_at": NOON,
    }


def predictions(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=CLASSIFICATIONS.schema)


def stage_runs(run_ids: Iterable[str], day: date = DAY) -> pl.DataFrame:
    """One row of stage_runs for each run."""
    rows = [
        {
            "day": day,
            "run_id": run_id,
            "stage": "raw_images",
            "model_id": None,
            "device": "cpu",
            "images": 1,
            "bytes_read": 1,
            "wall_seconds": 1.0,
            "cpu_seconds": 1.0,
            "peak_memory_bytes": 1,
            "finished_at": NOON + timedelta(seconds=1),
        }
        for run_id in run_ids
    ]
    return pl.DataFrame(rows, schema=STAGE_RUNS.schema)


def applied(existing: pl.DataFrame, change: Change | None) -> pl.DataFrame:
    """The rows of the table after a change."""
    if change is None:
        return existing
    if change.replaces_table:
        return change.rows
    is_replaced = pl.col("day").is_in(list(change.replaced_days)) if change.replaced_days else pl.lit(False)
    return pl.concat([existing.filter(~is_replaced), change.rows])
