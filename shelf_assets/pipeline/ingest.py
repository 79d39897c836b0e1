"""Make rows of `raw_images` from a day's objects: each is read once and validated, and the same decode gives its tensor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, REJECTED, unread_objects
from shelf_assets.lake.object_store import StoredObject, image_id_of
from shelf_assets.lake.object_writer import ObjectWithMetadata, uploader_of
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.lake.tensor_store import Tensor
from shelf_assets.lake.unsupported_keys import is_unsupported
from shelf_assets.observe.progress import Progress
from shelf_assets.photos.limits import Limits
from shelf_assets.photos.validator import ValidatedObject, unsupported_key, validate
from shelf_assets.pipeline.photo_reader import PhotoReader
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.vision.engine import StageTimer

# A row of Python objects takes ten times the memory of a row in a frame.
_ROWS_AS_OBJECTS = 4096


@dataclass(frozen=True)
class Ingest:
    """Validates the objects of a day."""

    lake: Lake
    reader: PhotoReader
    tensors: Tensors
    limits: Limits

    def unread(self, listed: pl.DataFrame, day: date) -> pl.DataFrame:
        """The listed objects that are new, overwritten, or could not be read because they were gone."""
        return unread_objects(listed, self.lake.table(RAW_IMAGES.name).scan(day, day).collect())

    def rows(self, day: date, unread: pl.DataFrame, progress: Progress, timer: StageTimer) -> pl.DataFrame:
        """Rows of `raw_images`, one per unread object, before the merge looks for duplicates.

        If tensors are made ahead, the decode that validates a photo also gives its tensor: one decode per photo
        (docs/decisions/009). Tensors are keyed by the photo's bytes, so a killed run, or rows that the merge does not accept,
        leave at worst tensors that are never read.
        """
        tensors = self.tensors.day(day)
        geometry = self.tensors.geometry if self.tensors.made_ahead else None
        stored = set(tensors.index().tensors["sha256"]) if unread.height else set()

        def validated(
            listed: StoredObject, found: ObjectWithMetadata | None
        ) -> tuple[dict[str, object], np.ndarray | None]:
            if is_unsupported(listed.key):
                return _row(day, listed, unsupported_key(), None), None
            result = validate(listed.size_bytes, None if found is None else found.data, self.limits, geometry)
            uploader = None if found is None else uploader_of(found.metadata)
            return _row(day, listed, result, uploader), result.pixels

        frames, rows = [RAW_IMAGES.empty()], list[dict[str, object]]()
        with tensors.writer(self.tensors.shard_images) as writer:
            for row, pixels in self.reader.read_with_metadata(unread, validated, timer):
                sha256 = str(row["sha256"])
                if pixels is not None and sha256 not in stored:
                    stored.add(sha256)
                    writer.add(Tensor(str(row["image_id"]), sha256, pixels))
                rows.append(row)
                if len(rows) == _ROWS_AS_OBJECTS:
                    frames.append(pl.DataFrame(rows, schema=RAW_IMAGES.schema))
                    rows = []
                progress.advance()
        found = pl.concat([*frames, pl.DataFrame(rows, schema=RAW_IMAGES.schema)])
        if found.height != unread.height:
            raise RuntimeError(
                f"{unread.height:,} objects of {day} were listed as unread, and {found.height:,} were read"
            )
        return found


def _row(day: date, stored: StoredObject, validated: ValidatedObject, uploader: str | None) -> dict[str, object]:
    result = validated.result
    return {
        "day": day,
        "image_id": image_id_of(stored.key),
        "key": stored.key,
        "size_bytes": stored.size_bytes,
        "etag": stored.etag,
        "sha256": validated.sha256,
        "format": result.format,
        "width_px": result.width_px,
        "height_px": result.height_px,
        "exif_orientation": result.exif_orientation,
        "received_at": stored.received_at,
        "status": ACCEPTED if result.ok else REJECTED,
        "reason": result.reason,
        "reason_detail": result.detail,
        "duplicate_of": None,
        "perceptual_hash": validated.perceptual_hash,
        "near_duplicate_group": None,
        "uploader": uploader,
    }
