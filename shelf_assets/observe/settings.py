"""Settings of the record that MLflow keeps."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrackingSettings(BaseModel):
    """Where MLflow's record is. `Settings` sets `uri` where nobody names one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field("", description="MLflow server or database; default: SQLite under <home>/mlflow.")
