"""The stage `raw_images`: reads and validates what landed. Reading is in `pipeline.ingest`."""

from __future__ import annotations

from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.pipeline.stage import Stage

STAGE = Stage(name="raw_images", group="intake", table=RAW_IMAGES, assumed_images_per_second=100.0)
