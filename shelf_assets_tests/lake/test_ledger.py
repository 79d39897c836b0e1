"""Queries on raw_images and predictions: unread objects, missing predictions, bytes that are accepted twice."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from shelf_assets.lake.known_rows import ScannedRows
from shelf_assets.lake.ledger import accepted_twice, missing_predictions, unread_objects
from shelf_assets.lake.schemas import DUPLICATE, REJECTED
from shelf_assets_tests.lake.rows import DAY, photo, photos, prediction, predictions

OTHER_DAY = DAY + timedelta(days=1)


def test_objects_with_known_etag_are_not_read_again() -> None:
    table = photos([photo("a", 1), photo("b", 2, status=REJECTED, reason="truncated")])
    listing = photos([photo("a", 1), photo("b", 2), photo("c", 3), photo("a", "new", OTHER_DAY)])
    assert unread_objects(listing.select("key", "etag"), table)["key"].to_list() == [
        photo("c", 3)["key"],
        photo("a", "new", OTHER_DAY)["key"],
    ]


def test_bytes_accepted_twice_are_found_from_both_days_only() -> None:
    third = OTHER_DAY + timedelta(days=1)
    rows = photos(
        [
            photo("a", "same"),
            photo("b", "same", OTHER_DAY),
            photo("c", "same", third, status=DUPLICATE),
            photo("d", 4, third),
        ]
    )
    table = ScannedRows(rows.lazy())
    assert (
        accepted_twice(table, DAY).to_list()
        == accepted_twice(table, OTHER_DAY).to_list()
        == [photo("a", "same")["sha256"]]
    )
    assert accepted_twice(table, third).is_empty()


def test_only_photos_missing_a_row_of_the_model_are_inferred() -> None:
    accepted = pl.DataFrame({"image_id": ["a", "b", "c"], "sha256": [prediction("a")["sha256"]] * 3})
    stored = predictions([prediction("a"), prediction("b", model="other"), prediction("c", "older bytes")])
    assert missing_predictions(accepted, stored, "m", "p")["image_id"].to_list() == ["b", "c"]
