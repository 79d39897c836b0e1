"""The predictor of a stage that uses one of the run's models. The model is loaded with the first photo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from shelf_assets.models.backends.opening import OpenModel
    from shelf_assets.models.spec import ModelSpec


@dataclass
class ModelPredictor(ABC):
    """The model of a stage. Stages make their columns from the model's outputs in `columns_of`."""

    asset: str
    spec: ModelSpec
    preprocess_digest: str
    open_model: Callable[[ModelSpec], OpenModel]

    # Libraries of models compute on threads of their own.
    is_single_threaded = False

    @cached_property
    def model(self) -> OpenModel:
        return self.open_model(self.spec)

    @property
    def device(self) -> str:
        return self.model.network.device

    @property
    def batch_images(self) -> int:
        return self.model.batch_images

    def submit(self, pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        """Start a batch of pixels (uint8, N × 3 × H × W); the returned function waits for the columns of their N rows."""
        answer = self.model.submit(pixels)
        return lambda: self.columns_of(answer())

    @abstractmethod
    def columns_of(self, answer: np.ndarray) -> pl.DataFrame:
        """The stage's own columns, from the model's outputs (float32, N × width)."""

    def close(self) -> None:
        """End the processes that opening the model has started."""
        self.model.close()

    def facts(self) -> dict[str, object]:
        """Metadata: the device, and the backend's parity with float32."""
        parity = self.model.card.parity
        return {"device": self.device, **(parity.metrics() if parity else {})}
