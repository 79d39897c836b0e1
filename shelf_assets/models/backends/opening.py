"""Open a model on this machine: export or load it on first use, and compare it with float32 on its first photos."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shelf_assets.models.backends import Network, PendingOutputs
from shelf_assets.models.backends.parity import measure
from shelf_assets.models.backends.reference import Reference
from shelf_assets.models.backends.store import Card, CompiledModels
from shelf_assets.models.defaults import ParityLimits
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import on_gpu
from shelf_assets.models.spec import ModelSpec

# Photos that are compared with float32, once per machine: it takes seconds, and fewer give no reliable parity.
PROOF_IMAGES = 64
# With a parity from earlier photos, smaller batches are not worth loading the float32 model for.
_FEWEST_TO_PROVE = 8


class OpenModel:
    """A spec's network with its card. Everything is loaded on first use; torch only where there is no export yet.

    `batch_images` 0 lets the backend choose. The first photos raise BackendRefused for a backend that is too far from
    float32; opening raises ModelError for one that cannot run here.
    """

    def __init__(
        self,
        spec: ModelSpec,
        store: CompiledModels,
        *,
        device: str = "auto",
        limits: ParityLimits | None = None,
        batch_images: int = 0,
        compiled: bool = False,
    ) -> None:
        self.spec, self.store, self.limits = spec, store, limits or ParityLimits()
        self._device_setting, self._batch_images, self._compiled = device, batch_images, compiled
        self._reference = Reference(spec, "cpu" if spec.backend == "openvino" else device)
        # Torch in float32 is the reference, so it needs no proof.
        self._proven = spec.backend == "torch" and spec.precision == "fp32"

    @cached_property
    def network(self) -> Network:
        if self.spec.backend == "openvino":
            return self._open_openvino()
        from shelf_assets.models.backends.graph import load
        from shelf_assets.models.backends.torch_network import TorchNetwork

        loaded = load(self.spec, self._device_setting)
        if self._card is None:
            names = getattr(loaded, "names", None)
            self._save(tuple(names) if names is not None else None)
        return TorchNetwork(loaded, self._batch_images, self._compiled)

    @property
    def batch_images(self) -> int:
        return self._batch_images or self.network.batch_images

    @property
    def card(self) -> Card:
        """Labels and parity of the model. Opening the network makes the card."""
        if self._card is None:
            _ = self.network
        assert self._card is not None  # opening has saved one
        return self._card

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A classifier's class names in the order of its outputs."""
        return self.card.labels or ()

    def submit(self, pixels: np.ndarray) -> PendingOutputs:
        """Start a batch; the first photos on this machine are also compared with float32."""
        pending = self.network.submit(pixels)
        if not self._proven and len(pixels):
            self._prove(pixels, pending())
        return pending

    @cached_property
    def _folder(self) -> Path:
        return self.store.folder_of(self.spec, "gpu" if on_gpu(self._device_setting) else "cpu")

    @property
    def _card(self) -> Card | None:
        return self.store.card(self._folder)

    def _open_openvino(self) -> Network:
        from shelf_assets.models.backends.openvino_network import OpenVinoNetwork

        if self._card is None:
            if self.spec.precision == "int8":
                raise ModelError(
                    f"the calibrated {self.spec.model_id} is not in {self._folder}: run `shelf calibrate` again"
                )
            self._save(self._reference.labels(), self._reference.export)
        return OpenVinoNetwork(self._folder, self.spec.precision)

    def close(self) -> None:
        """End the reference process; the network may still be used."""
        self._reference.close()

    def _prove(self, pixels: np.ndarray, outputs: np.ndarray) -> None:
        """Compare outputs with float32 until PROOF_IMAGES are compared on this machine. Raises BackendRefused."""
        card = self.card
        parity = card.parity
        is_worth_it = parity is None or (parity.photos < PROOF_IMAGES and len(pixels) >= _FEWEST_TO_PROVE)
        if is_worth_it:
            measured = measure(self.spec.task, self._reference.outputs(pixels), outputs)
            parity = measured if parity is None else parity.combined(measured)
            self.store.save(self._folder, replace(card, parity=parity))
        assert parity is not None  # measured above if it was unknown
        parity.require(self.limits, f"{self.spec.model_id} in {self.spec.precision} on {self.spec.backend}")
        self._proven = parity.photos >= PROOF_IMAGES or not is_worth_it
        if self._proven:
            self.close()

    def _save(self, labels: tuple[str, ...] | None, make: Any = None) -> None:
        self.store.save(self._folder, Card(self.spec.model_id, self.spec.model_digest, labels), make)
