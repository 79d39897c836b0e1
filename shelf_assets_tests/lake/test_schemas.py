"""Rows that do not fit a schema: every error names table and column, and no value is changed silently."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import column, dataframes

from shelf_assets.lake.schemas import (
    RAW_IMAGES,
    STAGE_RUNS,
    SchemaError,
    TableSpec,
    conform,
    require_day,
)
from shelf_assets.pipeline.stages.clip_embeddings import CLIP_EMBEDDINGS
from shelf_assets.registry import tables
from shelf_assets_tests.lake.rows import DAY, NOON, photo, photos, stage_runs

RUNS = stage_runs(["a", "b"])


def _frames_of(spec: TableSpec) -> st.SearchStrategy[pl.DataFrame]:
    instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
    columns = [
        column(
            name,
            dtype=dtype,
            allow_null=spec.columns[name].nullable,
            strategy=instants if name.endswith("_at") else None,
        )
        for name, dtype in spec.schema.items()
    ]
    frames = dataframes(columns, max_size=6)
    return frames.map(lambda frame: frame.unique(spec.key, maintain_order=True))


@pytest.mark.parametrize("spec", tables().values(), ids=tables())
def test_conforming_frame_is_unchanged(spec: TableSpec) -> None:
    @given(_frames_of(spec), st.randoms(use_true_random=False))
    def check(frame: pl.DataFrame, shuffle) -> None:
        names = list(frame.columns)
        shuffle.shuffle(names)
        conformed = conform(frame.select(names), spec)
        assert_frame_equal(conformed, frame)
        assert conformed.schema == spec.schema
        assert_frame_equal(conform(conformed, spec), conformed)

    check()


@pytest.mark.parametrize("spec", tables().values(), ids=tables())
def test_every_table_has_a_date_partition_and_a_not_null_key(
    spec: TableSpec,
) -> None:
    assert next(iter(spec.columns)) == "day" and spec.schema["day"] == pl.Date
    assert all(not spec.columns[name].nullable for name in spec.key)
    assert spec.fingerprint is None or spec.fingerprint in spec.columns


@pytest.mark.parametrize(
    ("day", "named"),
    [
        (pl.lit("2025-03-01"), "String"),
        (pl.lit(datetime(2025, 3, 1)), "Datetime"),
        (pl.lit(NOON), "Datetime"),
        (pl.lit(20148), "Int32"),
        (pl.lit(None), "Null"),
    ],
)
def test_day_that_is_no_date_is_refused(day: pl.Expr, named: str) -> None:
    with pytest.raises(SchemaError, match=rf"stage_runs\.day must be a Date, not .*{named}"):
        conform(RUNS.with_columns(day=day), STAGE_RUNS)


@pytest.mark.parametrize("value", ["2025-03-01", datetime(2025, 3, 1), NOON, 20148, None])
def test_value_that_is_no_date_is_refused(value: object) -> None:
    with pytest.raises(SchemaError, match=type(value).__name__):
        require_day(value)


def test_date_is_accepted_as_a_day() -> None:
    assert require_day(date(2025, 3, 1)) == DAY


@given(
    st.sampled_from(
        [
            ("images", pl.Float64),
            ("images", pl.UInt64),
            ("images", pl.Int128),
            ("images", pl.Boolean),
            ("images", pl.String),
            ("wall_seconds", pl.Int64),
            ("wall_seconds", pl.Decimal(10, 2)),
        ]
    )
)
def test_lossy_cast_is_refused(case: tuple[str, pl.DataType]) -> None:
    name, dtype = case
    with pytest.raises(SchemaError, match=rf"stage_runs\.{name} must be .* lossy"):
        conform(RUNS.with_columns(pl.col(name).cast(dtype)), STAGE_RUNS)


@pytest.mark.parametrize(
    "precision",
    [
        pl.Datetime("ms", "UTC"),
        pl.Datetime("ns", "UTC"),
        pl.Datetime("us", "Europe/Berlin"),
        pl.Datetime("us"),
    ],
)
def test_timestamp_of_other_precision_or_zone_is_refused(precision: pl.DataType) -> None:
    other = pl.Series("finished_at", [NOON.replace(tzinfo=None)] * RUNS.height).cast(pl.Datetime("us"))
    frame = RUNS.with_columns(
        other.cast(precision)
        if precision.time_zone is None
        else other.dt.replace_time_zone(precision.time_zone).dt.cast_time_unit(precision.time_unit)
    )
    with pytest.raises(SchemaError, match="finished_at"):
        conform(frame, STAGE_RUNS)


@pytest.mark.parametrize("narrow", [pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32])
def test_lossless_widening_is_accepted(narrow: type[pl.DataType]) -> None:
    assert_frame_equal(conform(RUNS.with_columns(pl.col("images").cast(narrow)), STAGE_RUNS), RUNS)


def test_null_column_gets_the_declared_type_or_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"stage_runs\.images must be Int64, not Null"):
        conform(RUNS.with_columns(images=None), STAGE_RUNS)
    assert conform(RUNS.with_columns(model_id=pl.lit(None)), STAGE_RUNS).schema == STAGE_RUNS.schema


def test_null_in_a_not_null_column_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"stage_runs\.device is declared not null, yet 2 rows are"):
        conform(RUNS.with_columns(device=pl.lit(None, pl.String)), STAGE_RUNS)


def test_missing_and_undeclared_columns_are_named() -> None:
    with pytest.raises(SchemaError, match=r"lacks the column.* device, images"):
        conform(RUNS.drop("device", "images"), STAGE_RUNS)
    with pytest.raises(SchemaError, match=r"does not declare the column.* mood"):
        conform(RUNS.with_columns(mood=pl.lit(1)), STAGE_RUNS)


def test_frame_with_repeated_key_is_refused() -> None:
    with pytest.raises(SchemaError, match="raw_images: rows repeat the key"):
        conform(photos([photo("a", 1), photo("a", 2)]), RAW_IMAGES)


def test_float_array_becomes_the_declared_list() -> None:
    frame = pl.DataFrame(
        {
            "day": [DAY],
            "image_id": ["a"],
            "sha256": ["s"],
            "model_id": ["m"],
            "model_digest": ["d"],
            "preprocess_digest": ["p"],
            "embedding": [[0.6, 0.8]],
            "inferred_at": [NOON],
        },
        schema_overrides={"embedding": pl.Array(pl.Float32, 2), "inferred_at": pl.Datetime("us", "UTC")},
    )
    assert conform(frame, CLIP_EMBEDDINGS)["embedding"].dtype == pl.List(pl.Float32)
    with pytest.raises(SchemaError, match="embedding"):
        conform(frame.with_columns(pl.col("embedding").cast(pl.Array(pl.Float64, 2))), CLIP_EMBEDDINGS)


def test_empty_frame_is_accepted() -> None:
    assert conform(pl.DataFrame(schema=STAGE_RUNS.schema), STAGE_RUNS).is_empty()
