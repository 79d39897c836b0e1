"""The tensors of the platform: the only access to the tensor store, in the geometry of the settings.

Three stages write tensors, all through here: `raw_images`, from the decode that validates a photo, `image_tensors`, for
accepted photos without one, and the predictions, for photos that still have none. Their format is in `lake.tensor_store`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.vision.preprocess import Geometry
from shelf_assets.vision.settings import VisionSettings


@dataclass(frozen=True)
class Tensors:
    """Tensors of a lake: uint8, 3 × size × size, EXIF-upright, RGB, not normalised, cut as `geometry` says."""

    lake: Lake
    settings: VisionSettings

    @property
    def geometry(self) -> Geometry:
        """The geometry of the settings, or the measured default."""
        return Geometry(fit=self.settings.fit or Geometry.fit, decoder=self.settings.decoder)

    @property
    def made_ahead(self) -> bool:
        """Whether stages make and store tensors before a model needs them."""
        return self.settings.tensors_ahead

    @property
    def kept(self) -> bool:
        """Whether tensors that a prediction had to decode are stored for later predictions."""
        return self.settings.tensors == "stored"

    @property
    def shard_images(self) -> int:
        return self.settings.shard_images

    def day(self, day: date) -> TensorDay:
        geometry = self.geometry
        return self.lake.tensors(day, geometry.digest(), geometry.size_px)
