"""Settings of the orchestration: executor, schedule, sensor. Read without Dagster."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DagsterSettings(BaseModel):
    """How and when Dagster runs the graph. `Settings` sets `home` by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(
        Path(),
        json_schema_extra={"variables": ["DAGSTER_HOME"]},
        description="Folder of the Dagster instance; a dagster.yaml there is kept. Default: <home>/dagster, which gets one.",
    )
    executor: Literal["in_process", "multiprocess", "k8s"] = Field(
        "multiprocess", description="Where a run's steps execute."
    )
    in_process_photos: int | None = Field(
        None,
        ge=0,
        description="A run that works on at most so many photos has all its steps in one process; 0: never. Default: 500, and 0 "
        "on Kubernetes, where that process is the run's own pod, which has neither the memory nor the GPU of a step.",
    )
    max_concurrent_steps: int = Field(2, ge=1, description="Steps at once with the multiprocess executor.")
    k8s_image: str | None = Field(None, description="Image of step pods; default: the image of the run pod.")
    nightly_hour_utc: int = Field(1, ge=0, le=23, description="Hour at which the schedule materializes yesterday.")
    arrivals_interval_seconds: int = Field(60, ge=5, description="How often the arrivals sensor looks.")
    arrivals_lookback_days: int = Field(
        35, ge=1, le=3660, description="Days whose prefixes the arrivals sensor watches for late photos."
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path if path == Path() else path.expanduser().resolve()

    @property
    def most_photos_in_process(self) -> int:
        if self.in_process_photos is not None:
            return self.in_process_photos
        return 0 if self.executor == "k8s" else 500
