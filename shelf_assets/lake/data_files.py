"""The data files that a version of a table reads."""

from __future__ import annotations

import polars as pl
from deltalake import DeltaTable

_FILE_SCHEMA = {"path": pl.String, "bytes": pl.Int64, "rows": pl.Int64, "day": pl.Date}


def data_files(opened: DeltaTable | None) -> pl.DataFrame:
    """path, bytes, rows and day (null for a table without days) of every file of the version."""
    if opened is None or not opened.file_uris():
        return pl.DataFrame(schema=_FILE_SCHEMA)
    actions = pl.DataFrame(opened.get_add_actions(flatten=True))
    day = pl.col("partition.day") if "partition.day" in actions.columns else pl.lit(None)
    return actions.select(path="path", bytes="size_bytes", rows="num_records", day=day.cast(pl.Date))
