"""Settings of the models: names, backend, precision, device, and the limits of parity with float32."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_assets.models.defaults import PRODUCTION_CLASSIFIER, PRODUCTION_EMBEDDER, ParityLimits


class ModelSettings(BaseModel):
    """The models and how they run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: Literal["auto", "production", "embedded"] = Field(
        "auto",
        description="Set of models. auto: production if its weights are available, else embedded, with a warning.",
    )
    classifier: str = Field(
        PRODUCTION_CLASSIFIER, description="Production classifier: any timm model name, with its pretrained tag."
    )
    embedder: str = Field(PRODUCTION_EMBEDDER, description="Production embedder: open_clip ARCHITECTURE/PRETRAINED.")
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        description="Library that runs the models. auto: torch on GPUs and clusters, OpenVINO on CPUs if it is installed.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        "auto",
        description="auto: bf16 if the hardware supports it, else fp32. fp16: GPUs. int8: OpenVINO, after `shelf calibrate`.",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    batch_size: int = Field(
        0,
        ge=0,
        le=4096,
        description="Photos in one forward pass; 0: 16 on CPUs, on GPUs the fastest that fits into memory.",
    )
    torch_compile: bool = Field(
        False,
        description="Use torch.compile: minutes at the first batch of every process, perhaps faster afterwards. "
        "Experimental: not measured yet.",
    )
    parity_cosine: float = Field(
        ParityLimits.cosine,
        ge=0,
        le=1,
        description="Least mean cosine between a backend's outputs and float32's; below it the backend is refused.",
    )
    parity_cosine_labelled: float = Field(
        ParityLimits.cosine_labelled,
        ge=0,
        le=1,
        description="The same if the accuracy on labelled photos is known, which then decides.",
    )
    parity_top1: float = Field(
        ParityLimits.top1_agreement,
        ge=0,
        le=1,
        description="Least share of photos whose top label in a backend is that of float32.",
    )
    parity_accuracy_points: float = Field(
        ParityLimits.accuracy_points,
        ge=0,
        le=100,
        description="Most percentage points of accuracy on labelled photos that int8 may lose.",
    )
    top_k: int = Field(5, ge=1, le=100, description="Labels kept for each photo.")
