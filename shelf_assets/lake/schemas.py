"""Declared schema, grain, partitioning and commit rule of every table. How rows are written belongs in `delta`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import polars as pl

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
FLOAT32_LIST = pl.List(pl.Float32)

# The values of raw_images.status.
ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"
# The reason of a duplicate that looks like another photo and has bytes of its own.
NEAR_DUPLICATE = "near_duplicate"


class Rule(StrEnum):
    """Which rows a commit may write. Each rule is a function in the package `rules`."""

    APPEND_MISSING = "append_missing"
    MERGE_OBJECTS = "merge_objects"
    REPLACE_DAY = "replace_day"
    SLOWLY_CHANGING = "slowly_changing"


class Partitioning(StrEnum):
    """How a table is divided, and which columns that requires.

    DAY: the first column is `day`, a Date; it is the Delta partition column. NONE: the table is one partition. VALIDITY:
    one partition, and each row is valid from `valid_from` (inclusive) to `valid_to` (exclusive; null: no end is known).
    """

    DAY = "day"
    NONE = "none"
    VALIDITY = "validity"


_PARTITIONING_OF_RULE = {
    Rule.MERGE_OBJECTS: Partitioning.DAY,
    Rule.REPLACE_DAY: Partitioning.DAY,
    Rule.SLOWLY_CHANGING: Partitioning.VALIDITY,
}


@dataclass(frozen=True)
class Column:
    dtype: pl.DataType | type[pl.DataType]
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSpec:
    """A declared table. SchemaError if its columns do not fit its partitioning, or its partitioning not its rule."""

    name: str
    grain: str
    key: tuple[str, ...]
    rule: Rule
    columns: Mapping[str, Column]
    fingerprint: str | None = None
    """Column that identifies the input bytes of a row: an existing row with the same key and another fingerprint is stale."""
    is_personal: bool = True
    """Whether rows are about a person's photo, so that erasing the photo concerns them."""
    partitioning: Partitioning = Partitioning.DAY

    def __post_init__(self) -> None:
        needed = _PARTITIONING_OF_RULE.get(self.rule, self.partitioning)
        if self.partitioning is not needed:
            raise SchemaError(f"{self.name}: the rule {self.rule} needs a table partitioned by {needed}")
        if self.is_by_day and next(iter(self.schema.items()), None) != ("day", pl.Date):
            raise SchemaError(f"{self.name}: a table partitioned by day has `day` as its first column")
        if self.partitioning is Partitioning.VALIDITY:
            if not {"valid_from", "valid_to"} <= set(self.columns):
                raise SchemaError(f"{self.name}: a table with validity has the columns `valid_from` and `valid_to`")
            if "valid_from" not in self.key or not self.entity_key:
                raise SchemaError(f"{self.name}: the key of a table with validity is an entity's key and `valid_from`")

    @property
    def is_by_day(self) -> bool:
        return self.partitioning is Partitioning.DAY

    @property
    def entity_key(self) -> tuple[str, ...]:
        """The key without `valid_from`: identifies the entity whose versions a table with validity holds."""
        return tuple(name for name in self.key if name != "valid_from")

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.schema)


class SchemaError(ValueError):
    """A frame does not fit the declared schema of the table it is meant for."""


_DAY = Column(pl.Date, "UTC day on which the photo was received; the partition.")
_IMAGE_ID = Column(pl.String, "Identity of the photo: the UUID in its key, else a UUIDv5 of the key.")
_INPUT_SHA256 = Column(pl.String, "SHA-256 of the photo's bytes that this row was made from.")

RAW_IMAGES = TableSpec(
    name="raw_images",
    grain="One row per object under a day's prefix.",
    key=("day", "key"),
    rule=Rule.MERGE_OBJECTS,
    columns={
        "day": _DAY,
        "image_id": _IMAGE_ID,
        "key": Column(pl.String, "Object key, relative to the lake."),
        "size_bytes": Column(pl.Int64, "Size of the object in bytes, as listed."),
        "etag": Column(pl.String, "Entity tag of the object, as listed; a changed one makes the object be read again."),
        "sha256": Column(pl.String, "SHA-256 of the bytes; null when they could not be read.", nullable=True),
        "format": Column(pl.String, "Format by signature: jpeg, png, webp, gif, …; null when unknown.", nullable=True),
        "width_px": Column(pl.Int32, "Width as stored, before EXIF orientation.", nullable=True),
        "height_px": Column(pl.Int32, "Height as stored, before EXIF orientation.", nullable=True),
        "exif_orientation": Column(pl.Int32, "EXIF orientation 1 to 8; 1 where none is given.", nullable=True),
        "received_at": Column(UTC_MICROSECONDS, "When the object was stored (its last-modified time)."),
        "status": Column(pl.String, "accepted, duplicate (of an accepted photo of any day) or rejected."),
        "reason": Column(
            pl.String,
            "Reason code of a rejection; near_duplicate where a photo is a duplicate by its looks, not by its bytes.",
            nullable=True,
        ),
        "reason_detail": Column(pl.String, "What exactly was wrong, for people.", nullable=True),
        "duplicate_of": Column(
            pl.String,
            "image_id of the accepted photo with the same bytes; of a near_duplicate, of the first photo of its group.",
            nullable=True,
        ),
        "perceptual_hash": Column(
            pl.Int64,
            "Perceptual hash of 64 bits as a signed number; null when rejected or (nearly) flat.",
            nullable=True,
        ),
        "near_duplicate_group": Column(
            pl.String,
            "image_id of the first photo of those that look alike; its own when alone, its original's for the same bytes.",
            nullable=True,
        ),
        "uploader": Column(
            pl.String,
            "Keyed hash of the owner whose photo it is; null for photos that did not come through the upload API.",
            nullable=True,
        ),
    },
)

_PREDICTION_KEY = ("day", "image_id", "model_digest", "preprocess_digest")
_PREDICTION_COLUMNS = {
    "day": _DAY,
    "image_id": _IMAGE_ID,
    "sha256": _INPUT_SHA256,
    "model_id": Column(pl.String, "Human name of the model."),
    "model_digest": Column(pl.String, "SHA-256 over architecture, weights, head and precision."),
    "preprocess_digest": Column(pl.String, "SHA-256 over the geometry and the normalisation constants."),
}
_INFERRED_AT = Column(UTC_MICROSECONDS, "When the batch of this row left the model.")


def prediction_table(name: str, grain: str, columns: Mapping[str, Column]) -> TableSpec:
    """A table with one row per accepted image and model. `columns` are its own, beside those of every prediction."""
    return TableSpec(
        name=name,
        grain=grain,
        key=_PREDICTION_KEY,
        rule=Rule.APPEND_MISSING,
        fingerprint="sha256",
        columns={**_PREDICTION_COLUMNS, **columns, "inferred_at": _INFERRED_AT},
    )


STAGE_RUNS = TableSpec(
    name="stage_runs",
    grain="One row per run, stage and day that did work: what it cost.",
    key=("day", "run_id", "stage"),
    rule=Rule.APPEND_MISSING,
    is_personal=False,
    columns={
        "day": _DAY,
        "run_id": Column(pl.String, "Dagster run that spent this."),
        "stage": Column(pl.String, "Asset that spent this."),
        "model_id": Column(pl.String, "Model that ran, for the prediction stages.", nullable=True),
        "device": Column(pl.String, "cpu, cuda:<name>, …"),
        "images": Column(pl.Int64, "Photos worked on."),
        "bytes_read": Column(pl.Int64, "Bytes read from the object store."),
        "wall_seconds": Column(pl.Float64, "Elapsed seconds; a stage that shares a pass counts its own part."),
        "cpu_seconds": Column(pl.Float64, "User and system CPU seconds of the process."),
        "peak_memory_bytes": Column(pl.Int64, "Peak resident memory of the process."),
        "finished_at": Column(UTC_MICROSECONDS, "When the stage ended."),
    },
)


def require_day(value: object) -> date:
    """Return a calendar day. Strings and datetimes raise SchemaError: converting them silently would delete or shift days."""
    if isinstance(value, datetime) or not isinstance(value, date):
        raise SchemaError(f"day must be a datetime.date, not {type(value).__name__} ({value!r})")
    return value


def conform(frame: pl.DataFrame, spec: TableSpec) -> pl.DataFrame:
    """Return `frame` with exactly the declared columns and types, in the declared order.

    Widening casts are made. A lossy cast, a Null-typed column, a missing, extra or wrongly typed column, a null in a column
    that is declared not null, a repeated key and a `valid_to` that is not after `valid_from` raise SchemaError.
    """
    day_dtype = frame.schema.get("day")
    if spec.is_by_day and day_dtype != pl.Date:
        raise SchemaError(f"{spec.name}.day must be a Date, not {day_dtype}: convert it before writing")
    if missing := [name for name in spec.columns if name not in frame.columns]:
        raise SchemaError(f"{spec.name} lacks the column(s) {', '.join(missing)}")
    if extra := [name for name in frame.columns if name not in spec.columns]:
        raise SchemaError(
            f"{spec.name} does not declare the column(s) {', '.join(extra)}: add them to its declaration first"
        )
    casts = [_lossless(frame, name, column, spec) for name, column in spec.columns.items()]
    conformed = frame.select(casts)
    for name, column in spec.columns.items():
        if not column.nullable and conformed[name].null_count():
            raise SchemaError(f"{spec.name}.{name} is declared not null, yet {conformed[name].null_count()} rows are")
    if frame.height and conformed.select(spec.key).is_duplicated().any():
        raise SchemaError(f"{spec.name}: rows repeat the key ({', '.join(spec.key)})")
    if (
        spec.partitioning is Partitioning.VALIDITY
        and conformed.filter(pl.col("valid_to") <= pl.col("valid_from")).height
    ):
        raise SchemaError(f"{spec.name}: valid_to must be later than valid_from")
    return conformed


_WIDER: dict[pl.DataType, tuple[type[pl.DataType], ...]] = {
    pl.Int32(): (pl.Int8, pl.Int16, pl.UInt8, pl.UInt16),
    pl.Int64(): (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32),
    pl.Float64(): (pl.Float32,),
}


def _lossless(frame: pl.DataFrame, name: str, column: Column, spec: TableSpec) -> pl.Expr:
    have, want = frame.schema[name], pl.Schema({name: column.dtype})[name]
    if have == want:
        return pl.col(name)
    if have == pl.Null and (column.nullable or not frame.height):
        return pl.col(name).cast(want)
    if type(have) in _WIDER.get(want, ()) or (
        isinstance(have, pl.Array) and have.inner == getattr(want, "inner", None)
    ):
        return pl.col(name).cast(want)
    raise SchemaError(f"{spec.name}.{name} must be {want}, not {have}: a lossy cast is refused")
