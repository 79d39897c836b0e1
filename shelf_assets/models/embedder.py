"""Embedders: load an open_clip model, which maps pictures and texts into one vector space. `catalogue` chooses the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from shelf_assets.models.device import PixelInput, at_precision, memory_format_of, pick_device, to_dtype
from shelf_assets.models.embedded import embedded_config
from shelf_assets.models.hub import local_path
from shelf_assets.models.precision import RequestedPrecision
from shelf_assets.models.spec import ModelSpec
from shelf_assets.models.weights import in_order, load_tensors

if TYPE_CHECKING:
    import torch

# Texts in one forward pass; with 77 tokens each this stays below 1 GB in the largest text towers.
_TEXTS_PER_PASS = 64


class Embedder:
    """An open_clip model in eval mode on its device. All vectors are float32 of unit length."""

    def __init__(
        self, spec: ModelSpec, model: Any, tokenize: Callable[[list[str]], torch.Tensor], device: torch.device
    ) -> None:
        self.spec, self.tokenize, self.device = spec, tokenize, device
        self.model = model.to(device=device, dtype=to_dtype(spec)).eval()
        layout = memory_format_of(self.model.visual)
        self.model.visual.to(memory_format=layout)
        self.pixels = PixelInput(spec, device, layout)

    def outputs(self, pixels: torch.Tensor) -> torch.Tensor:
        """Vectors of pixels on the device, in plain torch operations, so that it can be compiled and exported."""
        return _unit(self.model.encode_image(self.pixels.normalised(pixels)))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (float32, N × D) of texts."""
        import torch

        vectors = [np.zeros((0, self.dimension), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(texts), _TEXTS_PER_PASS):
                tokens = self.tokenize(list(texts[start : start + _TEXTS_PER_PASS]))
                vectors.append(_unit(self.model.encode_text(tokens.to(self.device))).cpu().numpy())
        return np.concatenate(vectors)

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        if self.spec.source == "packaged":
            return int(embedded_config()["embedder"]["open_clip"]["embed_dim"])
        import open_clip

        return int(open_clip.get_model_config(self.spec.architecture)["embed_dim"])


def load_embedder(spec: ModelSpec, device: str = "auto", precision: RequestedPrecision = "auto") -> Embedder:
    """Load an embedder; missing files are fetched, and their sha256 is checked before loading.

    `precision` "auto" is the spec's; another one gives the embedder a spec, and a digest, of its own.
    Raises WeightsUnavailable, ModelDigestMismatch, UnsafeWeights.
    """
    if spec.task != "embedder":
        raise ValueError(f"{spec.model_id} is not an embedder but a {spec.task}")
    spec = at_precision(spec, precision, device)
    model, tokenize = _packaged(spec) if spec.source == "packaged" else _named(spec)
    return Embedder(spec, model, tokenize, pick_device(device))


def _named(spec: ModelSpec) -> tuple[Any, Callable[[list[str]], torch.Tensor]]:
    import open_clip
    import torch

    tokenize = open_clip.get_tokenizer(spec.architecture)
    if spec.source == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.random_seed or 0)
            return open_clip.create_model(spec.architecture, load_weights=False, pretrained_text=False), tokenize
    path = local_path(spec.model_id, spec.files[0])
    # Loaded by path, so that the loaded file is the checked one; weights_only protects older .bin files.
    model = open_clip.create_model(spec.architecture, pretrained=str(path), weights_only=True)
    return model, tokenize


def _packaged(spec: ModelSpec) -> tuple[Any, Callable[[list[str]], torch.Tensor]]:
    import open_clip
    import timm

    paths = {file.role: local_path(spec.model_id, file) for file in spec.files}
    folder = str(paths["text"].parent)
    config = deepcopy(embedded_config()["embedder"]["open_clip"])
    config["text_cfg"] |= {"hf_model_name": folder, "hf_tokenizer_name": folder}
    model = open_clip.CustomTextCLIP(**config)
    backbone = timm.create_model(config["vision_cfg"]["timm_model_name"], pretrained=False)
    trunk = in_order(load_tensors(paths["backbone"]), backbone)
    projection = load_tensors(paths["projection"])
    state = {f"visual.trunk.{name}": trunk[name] for name in model.visual.trunk.state_dict()}
    state |= {f"visual.head.proj.{name}": tensor.float() for name, tensor in projection.items()}
    text = load_tensors(paths["text"])
    state |= {f"text.transformer.{name}": text[name] for name in model.text.transformer.state_dict()}
    state["logit_scale"] = model.logit_scale.detach()
    model.load_state_dict(state)
    tokenizer = open_clip.tokenizer.HFTokenizer(folder, context_length=config["text_cfg"]["context_length"])

    def tokenize(texts: list[str]) -> torch.Tensor:
        tokens = tokenizer(texts)
        # Columns with padding only are masked and cost time: most queries have a few words.
        return tokens[:, : int((tokens != model.text.config.pad_token_id).sum(dim=1).max())]

    return model, tokenize


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=1)
