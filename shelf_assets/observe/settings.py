"""Settings of MLflow tracking."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrackingSettings(BaseModel):
    """The MLflow store. `Settings` sets `uri` to its default, which lies below the home folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field("", description="MLflow server or database; default: SQLite under <home>/mlflow.")
