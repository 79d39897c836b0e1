"""The current code reads and continues a home (lake, Dagster instance, keys) that version 1e6d190 wrote.

The stored files are in `stored_lake/`: `home_1e6d190.tar.xz` and, as JSON, what it holds. To make them again, in any checkout
whose history has that commit: `python -m shelf_assets_tests.stored_lake.make`. If the layout changes intentionally, this test
stays, the code migrates the old layout, and the home of a later version is stored as well.

The tokens and the owner-hash key are valid for this lake only.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable
from PIL import Image
from starlette.testclient import TestClient

from shelf_assets.defs.instance import open_instance
from shelf_assets.defs.running import FinishedRun, marts_keys, run_days
from shelf_assets.http.keys import ApiKey, Keys
from shelf_assets.intake.app import build_app
from shelf_assets.registry import prediction_stages
from shelf_assets.settings import load_settings
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.stories.fakes import NoTracking
from shelf_assets_tests.stories.support import Platform, stage_keys

STORED = repo_root / "shelf_assets_tests" / "stored_lake"
DAY, NEXT_DAY, NEW_DAY = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)
PREDICTIONS = ("classifications", "clip_embeddings")
CONTINUED = ("raw_images", *PREDICTIONS)
# Stages that the stored version did not have: the first run computes them from the stored tensors.
ADDED = {stage.name for stage in prediction_stages()} - set(PREDICTIONS)
# The embedded models have the same digests as the stored predictions on every machine.
SETTINGS = {
    "models__set": "embedded",
    "models__backend": "torch",
    "models__precision": "fp32",
    "models__device": "cpu",
}
# The stage column of a mart is now checked against the registry (`is_a_stage_…`) instead of a list of values.
REPLACED_CHECKS = {
    "pipeline_cost_daily:accepted_values_pipeline_cost_daily_stage__"
    "raw_images__image_tensors__classifications__clip_embeddings"
}


@dataclass
class StoredHome:
    """The unpacked home, its recorded contents, and the calls that the tests need."""

    folder: Path
    sent: Path
    expected: dict[str, Any]
    shop: Platform

    def keys(self) -> Keys:
        return Keys(self.shop.lake.objects)

    def find_key(self, name: str) -> ApiKey | None:
        return self.keys().find(self.expected["tokens"][name])

    def client(self, token: str = "in_force") -> TestClient:
        """A client of the upload API over this home, on the day after the last stored one."""
        app = build_app(self.shop.settings, now=lambda: datetime(2026, 3, 3, 10, tzinfo=UTC))
        return TestClient(app, headers={"Authorization": f"Bearer {self.expected['tokens'][token]}"})

    def run_with_marts(self, day: date) -> FinishedRun:
        """Run all assets of a day; returns the run of the stages."""
        defs = self.shop.defs
        return run_days(defs, self.shop.instance, [day], stage_keys() | marts_keys(defs))[0]

    @cached_property
    def check_keys(self) -> set[dg.AssetCheckKey]:
        return set(self.shop.defs.resolve_asset_graph().asset_check_keys)

    def stored_rows(self, table: str) -> list[dict[str, Any]]:
        return self.expected["tables"][table]["rows"]

    def found_rows(self, table: str) -> list[dict[str, Any]]:
        """The table's rows in the recorded form: the columns of that version, and vectors as the SHA-256 of their float32 bytes."""
        columns = list(self.stored_rows(table)[0])
        rows = self.shop.rows(table).sort(self.expected["tables"][table]["key"]).select(columns).to_dicts()
        return [{name: as_json(row[name]) for name in columns} for row in rows]

    def accepted(self, day: date) -> list[dict[str, Any]]:
        rows = self.stored_rows("raw_images")
        return [row for row in rows if row["day"] == day.isoformat() and row["status"] == "accepted"]

    def photo(self, row: dict[str, Any]) -> bytes:
        return self.shop.lake.objects.get(row["key"])

    def photo_files(self) -> list[Path]:
        return sorted(path for path in (self.folder / "lake" / "images").rglob("*") if path.is_file())

    def materializations(self, asset: str) -> dict[str, int]:
        """The number of materializations in the instance, by day."""
        found = self.shop.instance.fetch_materializations(dg.AssetRecordsFilter(dg.AssetKey(asset)), limit=1000)
        days = pl.Series([record.partition_key for record in found.records], dtype=pl.String)
        return dict(days.value_counts().iter_rows())

    def passed_checks(self, run_ids: list[str]) -> dict[str, int]:
        """The number of passed results of these runs in the instance, by check."""
        of_type = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        results = [
            record.asset_check_evaluation
            for run_id in run_ids
            for record in self.shop.instance.all_logs(run_id, of_type=of_type)
        ]
        names = [f"{each.asset_key.to_user_string()}:{each.check_name}" for each in results if each and each.passed]
        return dict(pl.Series(names, dtype=pl.String).value_counts().iter_rows())


def as_json(value: Any) -> Any:
    if isinstance(value, list) and len(value) > 100:
        return hashlib.sha256(np.asarray(value, np.float32).tobytes()).hexdigest()
    return value if isinstance(value, int | float | list | None) else str(value)


@pytest.fixture
def unpacked(parsed_home: Path, tmp_path: Path) -> Iterator[StoredHome]:
    """The stored home as packed, opened by the current code. Its entity tags are out of date, see `home`."""
    with tarfile.open(STORED / "home_1e6d190.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "home"
    shutil.copytree(parsed_home, folder, dirs_exist_ok=True)
    settings = load_settings({}, home=folder, **SETTINGS)
    expected = json.loads((STORED / "home_1e6d190.json").read_text())
    with open_instance(settings) as instance:
        shop = Platform(settings, {"tracking": NoTracking("")}, instance)
        yield StoredHome(folder, tmp_path / "sent", expected, shop)


@pytest.fixture
def home(unpacked: StoredHome) -> StoredHome:
    """The stored home with the entity tags that the photos' files have here.

    An entity tag of a file contains its inode, so unpacking changes it, and every photo would be read again. The rows are
    updated with delta-rs only, without our code.
    """
    lake = unpacked.shop.lake
    listed = pl.concat([lake.listing(DAY), lake.listing(NEXT_DAY)]).select("key", "etag")
    merge = DeltaTable(str(unpacked.folder / "lake" / "tables" / "raw_images")).merge(
        listed, "kept.key = listed.key", source_alias="listed", target_alias="kept"
    )
    assert merge.when_matched_update({"etag": "listed.etag"}).execute()["num_target_rows_updated"] == listed.height
    return unpacked


def blank_photos(home: StoredHome) -> None:
    """Overwrite the bytes of each photo with zeros and keep its time: the listing is unchanged, but reading a photo would fail."""
    for path in home.photo_files():
        found = path.stat()
        with path.open("r+b") as file:
            file.write(bytes(found.st_size))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def recompressed(photo: bytes) -> bytes:
    """The same picture with other bytes."""
    file = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(file, "JPEG", quality=70)
    return file.getvalue()


@pytest.mark.parametrize("table", ["raw_images", "classifications", "clip_embeddings", "stage_runs"])
def test_stored_table_reads_to_the_rows_that_were_written(unpacked: StoredHome, table: str) -> None:
    assert unpacked.found_rows(table) == unpacked.stored_rows(table)


def test_finished_day_run_again_infers_nothing_commits_nothing_and_reads_no_photo(home: StoredHome) -> None:
    shop = home.shop
    versions, tensors = shop.versions(), [stored.key for stored in shop.lake.objects.list("tensors/")]
    blank_photos(home)

    runs = shop.run(DAY, NEXT_DAY)

    assert [shop.work(run) for run in runs] == [
        dict.fromkeys(ADDED, len(home.accepted(day))) for day in (DAY, NEXT_DAY)
    ]
    assert {name: shop.versions()[name] for name in CONTINUED} == {name: versions[name] for name in CONTINUED}
    versions = shop.versions()
    assert [shop.work(run) for run in shop.run(DAY, NEXT_DAY)] == [{}, {}]
    assert shop.versions() == versions
    assert [stored.key for stored in shop.lake.objects.list("tensors/")] == tensors
    for table in PREDICTIONS:
        metadata = shop.metadata(table)
        assert (metadata["inferred_now"], metadata["committed"]) == (0, False), table
        assert {metadata["model_digest"]} == {row["model_digest"] for row in home.stored_rows(table)}
        assert {metadata["preprocess_digest"]} == {row["preprocess_digest"] for row in home.stored_rows(table)}


@pytest.mark.slow
def test_late_photo_on_a_stored_day_costs_one_photo_and_continues_history_and_marts(home: StoredHome) -> None:
    shop, stored = home.shop, home.expected["instance"]
    shop.land(DAY, {"later.jpg": (home.sent / "later.jpg").read_bytes()})

    run = home.run_with_marts(DAY)

    assert shop.work(run) == dict.fromkeys(CONTINUED, 1) | dict.fromkeys(ADDED, 4)
    assert shop.statuses(DAY) == {"accepted": 4, "duplicate": 1, "rejected": 1}
    for table in PREDICTIONS:
        found = home.found_rows(table)
        assert len(found) == len(home.stored_rows(table)) + 1
        assert all(row in found for row in home.stored_rows(table)), table
        assert len({row["model_digest"] for row in found}) == 1, table
    with duckdb.connect(home.folder / "marts.duckdb", read_only=True) as marts:
        days = marts.execute("SELECT day, photos_in, accepted FROM daily_intake_quality ORDER BY day").fetchall()
    assert days == [(DAY, 6, 4), (NEXT_DAY, 4, 3)]
    for asset, by_day in stored["materializations"].items():
        assert home.materializations(asset) == by_day | {str(DAY): by_day[str(DAY)] + 1}, asset
    assert {each.run_id for each in shop.instance.get_runs()} > set(stored["runs"])


def test_stored_check_results_are_readable_and_their_checks_still_exist(unpacked: StoredHome) -> None:
    stored = unpacked.expected["instance"]
    assert unpacked.passed_checks(stored["runs"]) == stored["checks"]
    known = {f"{key.asset_key.to_user_string()}:{key.name}" for key in unpacked.check_keys}
    assert set(stored["checks"]) - known == REPLACED_CHECKS


def test_stored_tensors_serve_a_new_model_without_their_photos(home: StoredHome) -> None:
    shards = [stored.key for stored in home.shop.lake.objects.list("tensors/")]
    blank_photos(home)
    other = home.shop.with_models(2)

    for day in (DAY, NEXT_DAY):
        accepted = sorted(row["image_id"] for row in home.accepted(day))
        (run,) = other.run(day)
        assert other.work(run) == dict.fromkeys([stage.name for stage in prediction_stages()], len(accepted))
        rows = other.rows("classifications", day).filter(model_id="colour-classifier-2")
        assert sorted(rows["image_id"]) == accepted
    assert [stored.key for stored in home.shop.lake.objects.list("tensors/")] == shards


def test_bytes_and_looks_of_a_stored_photo_are_known_again_on_a_new_day(home: StoredHome) -> None:
    original, *_ = home.accepted(DAY)
    photo = home.photo(original)
    home.shop.land(NEW_DAY, {"same bytes": photo, "same looks": recompressed(photo)})

    home.shop.run(NEW_DAY, stages=["raw_images"])

    rows = home.shop.rows("raw_images", NEW_DAY)
    assert sorted(rows["status"]) == ["accepted", "duplicate"]
    assert rows.filter(status="duplicate")["duplicate_of"].to_list() == [original["image_id"]]
    assert set(rows["near_duplicate_group"]) == {original["near_duplicate_group"]}


def test_stored_key_is_accepted_and_revoked_stored_key_is_refused(unpacked: StoredHome) -> None:
    key = unpacked.find_key("in_force")
    assert key is not None
    assert (key.key_id, key.owner, key.requests) == (unpacked.expected["keys"]["in_force"], "acme", "100/minute")
    assert key.scopes == {"upload", "read", "erase"}
    assert unpacked.find_key("revoked") is None
    (revoked,) = [each for each in unpacked.keys().list() if each.revoked_at]
    assert revoked.key_id == unpacked.expected["keys"]["revoked"]
    assert revoked.revoked_at == revoked.created_at + timedelta(hours=1)


def test_upload_api_answers_for_stored_uploads_as_before(unpacked: StoredHome) -> None:
    images = unpacked.expected["images"]
    kept, erased = images["kept"]["image_id"], images["erased"]["image_id"]
    kept_bytes, erased_bytes = ((unpacked.sent / name).read_bytes() for name in ("kept.jpg", "erased.jpg"))
    before = unpacked.photo_files()
    with unpacked.client() as client:
        again = client.post("/v1/images", content=kept_bytes)
        assert again.status_code == 200 and again.json() == images["kept"]
        other = (unpacked.sent / "later.jpg").read_bytes()
        reused = client.post("/v1/images", content=other, headers={"Idempotency-Key": "order-17"})
        assert reused.json()["reason"] == "idempotency_key_reused"
        assert client.post("/v1/images", content=erased_bytes).json()["reason"] == "erased"

        (row,) = [row for row in unpacked.stored_rows("classifications") if row["image_id"] == kept]
        for image_id in (kept, images["same"]):
            image = client.get(f"/v1/images/{image_id}").json()
            assert (image["image_id"], image["state"], image["label"]) == (image_id, "processed", row["label"])
        refused = client.get(f"/v1/images/{images['refused']}").json()
        assert (refused["state"], refused["reason"]) == ("refused", "not_an_image")
        for image in (client.get(f"/v1/images/{erased}").json(), client.delete(f"/v1/images/{erased}").json()):
            assert (image["state"], image["asked_at"]) == ("erasure_requested", images["erased"]["asked_at"])

        def read_by(token: str) -> int:
            bearer = {"Authorization": f"Bearer {unpacked.expected['tokens'][token]}"}
            return client.get(f"/v1/images/{kept}", headers=bearer).status_code

        assert (read_by("stranger"), read_by("revoked")) == (404, 401)
    assert unpacked.photo_files() == before
