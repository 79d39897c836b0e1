"""Settings of the daily work: when rows are committed, when a day fails, what an hour of each stage costs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

STAGES = ("raw_images", "image_tensors", "classifications", "clip_embeddings")


class PipelineSettings(BaseModel):
    """How a day is worked on."""

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
        dict.fromkeys(STAGES, 0.05),
        description="Price of one hour of each stage's machine, as JSON. 0.05: two shared cores on demand; a T4 pod is about 0.50.",
    )

    @field_validator("eur_per_hour")
    @classmethod
    def _every_stage_has_a_price(cls, prices: dict[str, float]) -> dict[str, float]:
        if set(prices) != set(STAGES) or min(prices.values()) < 0:
            raise ValueError(f"must give a price of 0 or more for each of {', '.join(STAGES)}")
        return prices
