"""Read a day's photos, many at a time, within the bounds of the settings. Callers process the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import StoredObject
from shelf_assets.lake.object_writer import ObjectWithMetadata
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.vision.engine import Bounds, StageTimer, read_each
from shelf_assets.vision.settings import VisionSettings

Result = TypeVar("Result")


@dataclass(frozen=True)
class PhotoReader:
    """Reads photos of a lake within `bounds`."""

    lake: Lake
    bounds: Bounds

    @classmethod
    def of(cls, lake: Lake, vision: VisionSettings, photos: PhotoSettings) -> PhotoReader:
        return cls(
            lake,
            Bounds(
                in_flight_objects=vision.in_flight_objects,
                in_flight_bytes=vision.in_flight_bytes,
                work_slots=vision.decode_slots,
                skip_above_bytes=photos.max_bytes,
            ),
        )

    def read_each(
        self,
        photos: pl.DataFrame,
        work: Callable[[StoredObject, bytes | None], Result],
        timer: StageTimer | None = None,
    ) -> Iterator[Result]:
        """Read every photo (key, size_bytes, etag, received_at) once and yield the results of `work` in order.

        `work` gets None in place of the bytes of a photo that has vanished or is too large to be read.
        """
        return read_each(_objects(photos), self.lake.objects.find, work, self.bounds, timer)

    def read_with_metadata(
        self,
        photos: pl.DataFrame,
        work: Callable[[StoredObject, ObjectWithMetadata | None], Result],
        timer: StageTimer | None = None,
    ) -> Iterator[Result]:
        """Like `read_each`, with each object's metadata beside its bytes."""
        return read_each(_objects(photos), self.lake.object_writer.find, work, self.bounds, timer)


def _objects(photos: pl.DataFrame) -> Iterator[StoredObject]:
    return (StoredObject(*row) for row in photos.select("key", "size_bytes", "etag", "received_at").iter_rows())
