"""Settings of the marts."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator


class BiSettings(BaseModel):
    """Location of the marts, and their thresholds. `Settings` sets `marts_path` by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    marts_path: Path = Field(Path(), description="DuckDB file of the marts. Default: <home>/marts.duckdb.")
    low_confidence: float = Field(
        0.35, ge=0, le=1, description="Predictions below count as of low confidence in the marts."
    )

    @field_validator("marts_path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path if path == Path() else path.expanduser().resolve()
