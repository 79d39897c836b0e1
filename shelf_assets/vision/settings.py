"""Settings of the engine that turns photos into tensors: reading, decoding, cutting, and whether tensors are stored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_assets.machine import cores


class VisionSettings(BaseModel):
    """How photos become tensors, and how much may be in flight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fit: Literal["crop", "pad", "squash"] | None = Field(
        None, description="How a photo that is not square is cut. Default: as measured, docs/decisions/002."
    )
    decoder: Literal["cpu", "gpu"] = Field(
        "cpu",
        description="gpu: nvJPEG where the models run, the CPU for what it refuses; its tensors have a digest of their own. "
        "Experimental: not measured yet.",
    )
    decode_threads: int = Field(
        0, ge=0, le=256, description="Decodes at once; 0: one a core. Decoders release the GIL."
    )
    in_flight_objects: int = Field(
        64,
        ge=1,
        le=1024,
        description="Objects read at once. Rate × latency: 64 keep S3's 30 ms busy at 2,000/s.",
    )
    in_flight_bytes: int = Field(
        256_000_000, ge=1_000_000, description="Bytes of photos held at once, read but not yet validated."
    )
    tensors: Literal["stored", "redecode"] = Field(
        "stored",
        description="stored: tensors rest in shards for the next model. redecode: none rest, each run decodes (decision 008).",
    )
    shard_images: int = Field(
        1024,
        ge=1,
        description="Photos in one tensor shard (150 kB each); a killed run loses at most one shard's work.",
    )

    @property
    def tensors_ahead(self) -> bool:
        """Whether the stages make and store tensors before a model needs them: on CPUs, where tensors are stored."""
        return self.tensors == "stored" and self.decoder == "cpu"

    @property
    def decode_slots(self) -> int:
        """Decodes at once."""
        return self.decode_threads or cores()
