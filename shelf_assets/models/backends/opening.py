"""Opening a model on this machine: exported or loaded on first use, proven against float32 on the first photos it sees."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shelf_assets.models.backends import Answer, Network
from shelf_assets.models.backends.parity import ParityLimits, measure
from shelf_assets.models.backends.reference import Reference
from shelf_assets.models.backends.store import Card, CompiledModels
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import on_gpu
from shelf_assets.models.spec import ModelSpec

# Photos whose float32 outputs are computed beside the backend's: some seconds once, for a figure that means something.
PROOF_IMAGES = 64
# A late photo or two would cost loading the float32 model and say nothing new.
_WORTH_PROVING = 8


class OpenModel:
    """A spec's network with its card. Nothing is loaded before it is asked for; torch only where there is no export yet.

    `batch_images` 0 leaves the batch to the backend. Raises BackendRefused on the first photos, where a backend is too far
    from float32, and ModelError where it cannot run here.
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
        self._asked_device, self._batch_images, self._compiled = device, batch_images, compiled
        self._reference = Reference(spec, "cpu" if spec.backend == "openvino" else device)
        # Torch in float32 is what every other way is measured by.
        self._proven = spec.backend == "torch" and spec.precision == "fp32"

    @cached_property
    def network(self) -> Network:
        if self.spec.backend == "openvino":
            return self._open_openvino()
        from shelf_assets.models.backends.graph import load
        from shelf_assets.models.backends.torch_network import TorchNetwork

        loaded = load(self.spec, self._asked_device)
        if self._card is None:
            names = getattr(loaded, "names", None)
            self._keep(tuple(names) if names is not None else None)
        return TorchNetwork(loaded, self._batch_images, self._compiled)

    @property
    def batch_images(self) -> int:
        return self._batch_images or self.network.batch_images

    @property
    def card(self) -> Card:
        """What is known of the model; making it is part of opening the network."""
        if self._card is None:
            _ = self.network
        assert self._card is not None  # opening has kept one
        return self._card

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A classifier's class names in the order of its outputs."""
        return self.card.labels or ()

    def submit(self, pixels: np.ndarray) -> Answer:
        """Start on a batch; the first photos that this machine ever shows the model prove it."""
        answer = self.network.submit(pixels)
        if not self._proven and len(pixels):
            self._prove(pixels, answer())
        return answer

    @cached_property
    def _place(self) -> Path:
        return self.store.place_of(self.spec, "gpu" if on_gpu(self._asked_device) else "cpu")

    @property
    def _card(self) -> Card | None:
        return self.store.card(self._place)

    def _open_openvino(self) -> Network:
        from shelf_assets.models.backends.openvino_network import OpenVinoNetwork

        if self._card is None:
            if self.spec.precision == "int8":
                raise ModelError(
                    f"the calibrated {self.spec.model_id} is not in {self._place}: run `shelf calibrate` again"
                )
            self._keep(self._reference.labels(), self._reference.export)
        return OpenVinoNetwork(self._place, self.spec.precision)

    def close(self) -> None:
        """End what proving has started; the network stays, and may be used again."""
        self._reference.close()

    def _prove(self, pixels: np.ndarray, outputs: np.ndarray) -> None:
        """Compare with float32 until PROOF_IMAGES have been seen, in this process and earlier ones; refuse below the limits."""
        card = self.card
        parity = card.parity
        worth_it = parity is None or (parity.photos < PROOF_IMAGES and len(pixels) >= _WORTH_PROVING)
        if worth_it:
            measured = measure(self.spec.task, self._reference.outputs(pixels), outputs)
            parity = measured if parity is None else parity.plus(measured)
            self.store.keep(self._place, replace(card, parity=parity))
        assert parity is not None  # measured where it was not known
        parity.require(self.limits, f"{self.spec.model_id} in {self.spec.precision} on {self.spec.backend}")
        self._proven = parity.photos >= PROOF_IMAGES or not worth_it
        if self._proven:
            self.close()

    def _keep(self, labels: tuple[str, ...] | None, make: Any = None) -> None:
        self.store.keep(self._place, Card(self.spec.model_id, self.spec.model_digest, labels), make)
