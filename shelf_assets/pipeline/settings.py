"""Settings of the daily work: chunks of commits, limits of failures, hourly prices of stages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shelf_assets.registry import STAGE_NAMES


class PipelineSettings(BaseModel):
    """How a day is processed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decode_failure_limit: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of a day's accepted photos that may fail to become tensors before the day fails.",
    )
    commit_images: int = Field(
        5_000,
        ge=1,
        description="Predictions held before they are committed; a killed run loses at most these.",
    )
    eur_per_hour: dict[str, float] = Field(
        {},
        description=(
            "Prices of one hour of stages' machines, by stage, as JSON. A stage that is not named has its declared price, "
            "0.05: two shared cores on demand; a T4 pod is about 0.50."
        ),
    )

    @field_validator("eur_per_hour")
    @classmethod
    def _known_stages_at_sane_prices(cls, prices: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(set(prices) - set(STAGE_NAMES)):
            raise ValueError(f"there is no stage {', '.join(unknown)}; there are {', '.join(STAGE_NAMES)}")
        if min(prices.values(), default=0) < 0:
            raise ValueError("a price must be 0 or more")
        return prices
