"""The state of an uploaded photo, from its objects and from the tables of the daily graph. Only owners see their photos.

Without polars and delta-rs, as on Lambda, the tables are not read, and an accepted photo stays `received`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from shelf_assets.intake.upload_store import INCOMING, UploadStore, photo_key, quarantine_key, received_at_of
from shelf_assets.lake.errors import StoreUnavailable, store_errors

if TYPE_CHECKING:
    import polars as pl

State = Literal["received", "processed", "refused", "erasure_requested"]


@dataclass(frozen=True)
class Label:
    """The class that a model found, with its confidence from 0 to 1."""

    label: str
    confidence: float
    model_id: str


@dataclass(frozen=True)
class ImageState:
    """`refused` has a `reason`, `processed` a label, `erasure_requested` an `asked_at`."""

    image_id: str
    received_at: datetime
    state: State
    reason: str | None = None
    label: Label | None = None
    asked_at: datetime | None = None


@dataclass(frozen=True)
class _StoredUpload:
    """Where the photo of an upload is stored, under which image_id, with its object metadata."""

    photo_id: str
    place: Literal["photo", "incoming", "quarantine"]
    metadata: Mapping[str, str]


class PhotoStates:
    """Finds states of photos. Every method blocks while it waits for the store, and raises StoreUnavailable."""

    def __init__(self, upload_store: UploadStore, lake_url: str, store_options: Mapping[str, str]) -> None:
        self._upload_store = upload_store
        has_tables = find_spec("polars") and find_spec("deltalake")
        self._tables = _Tables(lake_url, store_options) if has_tables else None

    def find(self, image_id: str, owner: str) -> ImageState | None:
        """The state of an image; None if the owner (a hash) has no image of this id."""
        stored = self._find_owned(image_id, owner)
        if stored is None:
            return None
        received_at = received_at_of(stored.photo_id)
        if (asked_at := self._upload_store.erasure_of(stored.photo_id)) is not None:
            return ImageState(image_id, received_at, "erasure_requested", asked_at=asked_at)
        if stored.place == "quarantine":
            return ImageState(image_id, received_at, "refused", reason=stored.metadata.get("reason"))
        if stored.place == "incoming" or self._tables is None:
            return ImageState(image_id, received_at, "received")
        return self._tables.state_of(image_id, stored.photo_id)

    def request_erasure(self, image_id: str, owner: str, now: datetime) -> datetime | None:
        """Record that an owner requests a photo's erasure. The time of the first request; None as in `find`."""
        stored = self._find_owned(image_id, owner)
        return None if stored is None else self._upload_store.ask_erasure(stored.photo_id, owner, now)

    def _find_owned(self, image_id: str, owner: str) -> _StoredUpload | None:
        try:
            received_at_of(image_id)
        except ValueError:
            return None
        # Twice, because a photo may move between the look-ups: from incoming/ to a place that was looked at before.
        stored = self._find(image_id) or self._find(image_id)
        return stored if stored and stored.metadata.get("owner") == owner else None

    def _find(self, image_id: str) -> _StoredUpload | None:
        photo_id = self._upload_store.photo_of(image_id)
        object_writer = self._upload_store.object_writer
        if (metadata := object_writer.metadata(photo_key(photo_id))) is not None:
            return _StoredUpload(photo_id, "photo", metadata)
        if (metadata := object_writer.metadata(f"{INCOMING}/{photo_id}")) is not None:
            return _StoredUpload(photo_id, "incoming", metadata)
        quarantined = quarantine_key(received_at_of(photo_id).date(), photo_id)
        if (metadata := object_writer.metadata(quarantined)) is not None:
            return _StoredUpload(photo_id, "quarantine", metadata)
        return None


class _Tables:
    """The lake's tables, a day at a time. Imported at the first request for a state, so that uploads never pay for it."""

    def __init__(self, lake_url: str, store_options: Mapping[str, str]) -> None:
        self._url, self._options = lake_url, dict(store_options)

    def state_of(self, image_id: str, photo_id: str) -> ImageState:
        from shelf_assets.lake.schemas import DUPLICATE, RAW_IMAGES, REJECTED

        received_at = received_at_of(photo_id)
        day = received_at.date()
        row = self._newest(RAW_IMAGES.name, day, photo_id, "received_at")
        if row is None:
            return ImageState(image_id, received_at, "received")
        if row["status"] == REJECTED:
            return ImageState(image_id, received_at, "refused", reason=row["reason"])
        label = self._label(*(_original(row, day) if row["status"] == DUPLICATE else (day, photo_id)))
        return ImageState(image_id, received_at, "processed" if label else "received", label=label)

    def _label(self, day: date, photo_id: str) -> Label | None:
        row = self._newest("classifications", day, photo_id, "inferred_at")
        return None if row is None else Label(row["label"], row["confidence"], row["model_id"])

    def _newest(self, table: str, day: date, image_id: str, by: str) -> dict[str, Any] | None:
        """The newest row of an image, by the column `by`."""
        import polars as pl

        from shelf_assets.lake.lake import Lake

        rows = Lake(self._url, self._options).table(table).scan(day, day).filter(pl.col("image_id") == image_id)
        found = self._collected(rows.sort(by, descending=True).head(1), table, day).to_dicts()
        return found[0] if found else None

    def _collected(self, rows: pl.LazyFrame, table: str, day: date) -> pl.DataFrame:
        import polars as pl

        with store_errors(f"reading {table} of {day}", self._url):
            try:
                return rows.collect()
            except pl.exceptions.ComputeError as error:  # what polars raises for errors of the store
                raise StoreUnavailable(f"reading {table} of {day} in {self._url} failed") from error


def _original(row: Mapping[str, Any], day: date) -> tuple[date, str]:
    """Day and image_id of the photo that a duplicate repeats. An id that names no time is looked for on the same day."""
    original: str = row["duplicate_of"]
    try:
        return received_at_of(original).date(), original
    except ValueError:
        return day, original
