"""The stage `image_tensors`: makes the tensors that validation did not make. Tensors are files, not rows."""

from __future__ import annotations

from shelf_assets.pipeline.stage import Stage

STAGE = Stage(name="image_tensors", group="vision", assumed_images_per_second=100.0)
