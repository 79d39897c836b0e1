"""Settings of the engine that turns photos into tensors: concurrency, decoding, geometry, and storage of tensors."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_assets.machine import cores


class VisionSettings(BaseModel):
    """How photos become tensors, and how many are processed at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fit: Literal["crop", "pad", "squash"] | None = Field(
        None, description="How a photo that is not square becomes one. Default: see docs/decisions/002."
    )
    decoder: Literal["cpu", "gpu"] = Field(
        "cpu",
        description="gpu: nvJPEG, and the CPU for photos that it rejects; these tensors have a digest of their own. "
        "Experimental: not measured yet.",
    )
    decode_threads: int = Field(
        0, ge=0, le=256, description="Concurrent decodes; 0: one per core. Decoders release the GIL."
    )
    in_flight_objects: int = Field(
        64,
        ge=1,
        le=1024,
        description="Concurrent reads: rate × latency; 64 allow 2,000 photos per second at 30 ms.",
    )
    in_flight_bytes: int = Field(
        256_000_000, ge=1_000_000, description="Most bytes of photos that are read but not yet validated."
    )
    tensors: Literal["stored", "redecode"] = Field(
        "stored",
        description="stored: tensors are kept in shards for later models. redecode: every run decodes (decision 008).",
    )
    shard_images: int = Field(
        1024,
        ge=1,
        description="Photos in one tensor shard (150 kB each); a killed run loses the work of one shard at most.",
    )

    @property
    def tensors_ahead(self) -> bool:
        """Whether tensors are made and stored before a model needs them: with CPU decoding and stored tensors."""
        return self.tensors == "stored" and self.decoder == "cpu"

    @property
    def decode_slots(self) -> int:
        """Number of concurrent decodes."""
        return self.decode_threads or cores()
