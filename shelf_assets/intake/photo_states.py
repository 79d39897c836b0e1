"""What became of a photo: from its objects, and from the rows of the daily graph. Only to its owner; changes nothing.

Where polars and delta-rs are not installed, as on Lambda, rows are not read, and a photo is `received` to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from shelf_assets.intake.upload_store import INCOMING, UploadStore, photo_key, quarantine_key, received_at_of
from shelf_assets.lake.errors import StoreUnavailable, store_errors
from shelf_assets.lake.store_options import store_options

if TYPE_CHECKING:
    import polars as pl

    from shelf_assets.settings import Settings

State = Literal["received", "processed", "refused", "erasure_requested"]


@dataclass(frozen=True)
class Label:
    label: str
    confidence: float
    model_id: str


@dataclass(frozen=True)
class ImageState:
    """`reason` is given for `refused`, the label for `processed`, `asked_at` for `erasure_requested`."""

    image_id: str
    received_at: datetime
    state: State
    reason: str | None = None
    label: Label | None = None
    asked_at: datetime | None = None


@dataclass(frozen=True)
class _Resting:
    """Where the photo of an upload is, under which image_id."""

    photo_id: str
    place: Literal["photo", "incoming", "quarantine"]
    facts: Mapping[str, str]


class States:
    """Answers block: they wait for the store."""

    def __init__(self, receipts: UploadStore, settings: Settings) -> None:
        self._receipts = receipts
        self._rows = _Rows(settings) if find_spec("polars") and find_spec("deltalake") else None

    def of(self, image_id: str, owner: str) -> ImageState | None:
        """What became of an image; None where this owner has none of that id. Raises StoreUnavailable."""
        resting = self._owned(image_id, owner)
        if resting is None:
            return None
        received_at = received_at_of(resting.photo_id)
        if (asked_at := self._receipts.erasure_of(resting.photo_id)) is not None:
            return ImageState(image_id, received_at, "erasure_requested", asked_at=asked_at)
        if resting.place == "quarantine":
            return ImageState(image_id, received_at, "refused", reason=resting.facts.get("reason"))
        if resting.place == "incoming" or self._rows is None:
            return ImageState(image_id, received_at, "received")
        return self._rows.state_of(image_id, resting.photo_id)

    def ask_erasure(self, image_id: str, owner: str, now: datetime) -> datetime | None:
        """Record that an owner wants a photo erased, and since when; None as above. Raises StoreUnavailable."""
        resting = self._owned(image_id, owner)
        return None if resting is None else self._receipts.ask_erasure(resting.photo_id, owner, now)

    def _owned(self, image_id: str, owner: str) -> _Resting | None:
        try:
            received_at_of(image_id)
        except ValueError:
            return None
        # A photo may move while it is looked for: from incoming/ to where it was not a moment ago.
        resting = self._find(image_id) or self._find(image_id)
        return resting if resting and resting.facts.get("owner") == owner else None

    def _find(self, image_id: str) -> _Resting | None:
        photo_id = self._receipts.photo_of(image_id)
        object_writer = self._receipts.object_writer
        if (facts := object_writer.metadata(photo_key(photo_id))) is not None:
            return _Resting(photo_id, "photo", facts)
        if (facts := object_writer.metadata(f"{INCOMING}/{photo_id}")) is not None:
            return _Resting(photo_id, "incoming", facts)
        if (facts := object_writer.metadata(quarantine_key(received_at_of(photo_id).date(), photo_id))) is not None:
            return _Resting(photo_id, "quarantine", facts)
        return None


class _Rows:
    """The lake's tables, a day at a time. Loaded when somebody first asks: whoever only sends never pays for it."""

    def __init__(self, settings: Settings) -> None:
        self._url, self._options = settings.lake.url, store_options(settings.lake)

    def state_of(self, image_id: str, photo_id: str) -> ImageState:
        received_at = received_at_of(photo_id)
        day = received_at.date()
        row = self._newest("raw_images", day, photo_id, "received_at")
        if row is None:
            return ImageState(image_id, received_at, "received")
        if row["status"] == "rejected":
            return ImageState(image_id, received_at, "refused", reason=row["reason"])
        label = self._label(*(_original(row, day) if row["status"] == "duplicate" else (day, photo_id)))
        return ImageState(image_id, received_at, "processed" if label else "received", label=label)

    def _label(self, day: date, photo_id: str) -> Label | None:
        row = self._newest("classifications", day, photo_id, "inferred_at")
        return None if row is None else Label(row["label"], row["confidence"], row["model_id"])

    def _newest(self, table: str, day: date, image_id: str, by: str) -> dict[str, Any] | None:
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
            except pl.exceptions.ComputeError as error:  # what polars makes of a store's errors
                raise StoreUnavailable(f"reading {table} of {day} in {self._url} failed") from error


def _original(row: Mapping[str, Any], day: date) -> tuple[date, str]:
    """Day and image_id of the photo that a duplicate is one of; a photo that no door has named is looked for on its own day."""
    original: str = row["duplicate_of"]
    try:
        return received_at_of(original).date(), original
    except ValueError:
        return day, original
