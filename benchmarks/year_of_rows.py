"""A lake of many days with generated rows, one append per day. Measurements on it belong in `big_tables`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from deltalake import write_deltalake

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, REJECTED
from shelf_assets.lake.object_store import day_prefix
from shelf_assets.lake.schemas import RAW_IMAGES, STAGE_RUNS
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS
from shelf_assets.pipeline.stages.clip_embeddings import CLIP_EMBEDDINGS
from shelf_assets.registry import STAGE_NAMES, tables

FIRST_DAY = date(2025, 1, 1)
VECTOR_LENGTH = 512
# As in the demo: of a hundred objects two are copies and three are unusable.
SHARES = {DUPLICATE: 0.02, REJECTED: 0.03}
_LABELS = [f"label {number}" for number in range(1000)]
_TOP_K = 5


def day_number(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def build_days(lake: Lake, numbers: Sequence[int], photos: int, progress: Callable[[str], None]) -> None:
    """Append whole days: one commit for each day and table, in stage_runs one for each stage, like real runs; rules are skipped."""
    for name, spec in tables().items():
        lake.table(name).commit(spec.empty())
    for number in numbers:
        objects = raw_images(number, photos)
        rows = {
            RAW_IMAGES.name: [objects],
            CLASSIFICATIONS.name: [classifications(objects)],
            CLIP_EMBEDDINGS.name: [clip_embeddings(objects)],
            STAGE_RUNS.name: [stage_runs(number, f"run-{number}", photos, [stage]) for stage in STAGE_NAMES],
        }
        for name, frames in rows.items():
            for frame in frames:
                arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                write_deltalake(lake.table(name).open() or "", arrow, mode="append")
        if number % 30 == 29:
            progress(f"{number + 1} days are written")


def raw_images(number: int, photos: int, first: int = 0) -> pl.DataFrame:
    """The day's objects from the `first` one on; all but the copies have unique bytes."""
    day, random = day_number(number), _random(number, first)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    milliseconds = int(midnight.timestamp() * 1000)
    ids = [_uuid7(milliseconds + first + n, random.bytes(10)) for n in range(photos)]
    hashes = _hex(random, photos)
    status = np.full(photos, ACCEPTED, dtype=object)
    copies, rejected = (int(photos * share) for share in SHARES.values())
    status[1 : 1 + copies] = DUPLICATE
    status[photos - rejected :] = REJECTED
    hashes[1 : 1 + copies] = hashes[:1] * copies
    return pl.DataFrame(
        {
            "day": [day] * photos,
            "image_id": ids,
            "key": [f"{day_prefix(day)}{image_id}" for image_id in ids],
            "size_bytes": random.integers(20_000, 5_000_000, photos),
            "etag": [text[:32] for text in _hex(random, photos)],
            "sha256": hashes,
            "format": ["jpeg"] * photos,
            "width_px": np.full(photos, 3024, np.int32),
            "height_px": np.full(photos, 4032, np.int32),
            "exif_orientation": np.full(photos, 6, np.int32),
            "received_at": [midnight + timedelta(milliseconds=n) for n in range(first, first + photos)],
            "status": status.tolist(),
            "reason": ["truncated" if each == REJECTED else None for each in status],
            "reason_detail": ["the file ends early" if each == REJECTED else None for each in status],
            "duplicate_of": [ids[0] if each == DUPLICATE else None for each in status],
            "perceptual_hash": _perceptual_hashes(number, first, status),
            "near_duplicate_group": [
                None if each == REJECTED else ids[0] if each == DUPLICATE else own
                for each, own in zip(status, ids, strict=True)
            ],
            "uploader": [text[:32] for text in _hex(random, photos)],
        },
        schema=RAW_IMAGES.schema,
    )


def _perceptual_hashes(number: int, first: int, status: np.ndarray) -> list[int | None]:
    """Hashes with 32 of 64 bits set, as a median gives; copies have the hash of the first photo."""
    random = _random(number, first, 1)
    bits = random.permuted(np.tile(np.arange(64) < 32, (status.size, 1)), axis=1)
    hashes = np.packbits(bits, axis=1).view(">i8")[:, 0].tolist()
    return [
        None if each == REJECTED else hashes[0] if each == DUPLICATE else own
        for each, own in zip(status, hashes, strict=True)
    ]


def classifications(objects: pl.DataFrame) -> pl.DataFrame:
    """One row per accepted object."""
    rows, random = _identities(objects, "classifier"), _random(int(objects["size_bytes"][0]))
    # As uneven as labels of real days: some hundreds occur every day, most hardly ever.
    chosen = np.minimum(random.zipf(1.3, (rows.height, _TOP_K)), len(_LABELS)) - 1
    scores = -np.sort(-random.dirichlet(np.ones(_TOP_K), rows.height), axis=1).astype(np.float32)
    labels = [[_LABELS[number] for number in row] for row in chosen]
    return rows.with_columns(
        label=pl.Series([row[0] for row in labels]),
        confidence=pl.Series(scores[:, 0]),
        labels=pl.Series(labels),
        scores=pl.Series(scores.tolist(), dtype=pl.List(pl.Float32)),
        inferred_at=_inferred_at(),
    ).select(list(CLASSIFICATIONS.columns))


def clip_embeddings(objects: pl.DataFrame) -> pl.DataFrame:
    """One unit vector per accepted object."""
    rows, random = _identities(objects, "embedder"), _random(int(objects["size_bytes"][0]))
    vectors = random.standard_normal((rows.height, VECTOR_LENGTH), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embedding = pl.Series(vectors, dtype=pl.Array(pl.Float32, VECTOR_LENGTH)).cast(pl.List(pl.Float32))
    return rows.with_columns(embedding=embedding, inferred_at=_inferred_at()).select(list(CLIP_EMBEDDINGS.columns))


def stage_runs(number: int, run_id: str, photos: int, stages: Sequence[str] = STAGE_NAMES) -> pl.DataFrame:
    """The costs of a run of the day, one row per stage."""
    day = day_number(number)
    spent = {
        "bytes_read": photos * 2_000_000,
        "wall_seconds": 60.0,
        "cpu_seconds": 90.0,
        "peak_memory_bytes": 6 * 10**8,
    }
    ended = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=25)
    rows = [
        {"day": day, "run_id": run_id, "stage": stage, "model_id": None, "device": "cpu", "images": photos}
        | spent
        | {"finished_at": ended}
        for stage in stages
    ]
    return pl.DataFrame(rows, schema=STAGE_RUNS.schema)


def _identities(objects: pl.DataFrame, model: str) -> pl.DataFrame:
    digests = {name: pl.lit(_hex(np.random.default_rng(len(name + model)), 1)[0]) for name in _DIGESTS}
    accepted = objects.filter(pl.col("status") == ACCEPTED).select("day", "image_id", "sha256")
    return accepted.with_columns(model_id=pl.lit(model), **digests)


_DIGESTS = ("model_digest", "preprocess_digest")


def _inferred_at() -> pl.Expr:
    return (pl.col("day").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=25)).cast(pl.Datetime("us", "UTC"))


def _random(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _hex(random: np.random.Generator, count: int) -> list[str]:
    text = random.bytes(32 * count).hex()
    return [text[start : start + 64] for start in range(0, len(text), 64)]


def _uuid7(milliseconds: int, random_bytes: bytes) -> str:
    bits = int.from_bytes(random_bytes, "big")
    return str(
        uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | (bits >> 62 & 0xFFF) << 64 | 0b10 << 62 | bits & (1 << 62) - 1)
    )
