"""Support for stories: a lake, landed photos, days run through Dagster, and the contents of the tables afterwards."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from shelf_assets.build import build_defs, open_lake
from shelf_assets.defs.running import FinishedRun, run_days
from shelf_assets.intake.put_photos import land
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.photos.validator import ValidatedObject, validate
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.registry import STAGE_NAMES, prediction_stages, table_stages, tables
from shelf_assets.settings import Settings
from shelf_assets.vision.photo_pixels import pixels_of
from shelf_assets.vision.preprocess import Geometry
from shelf_assets.vision.reasons import Reason, Undecodable
from shelf_assets_tests.stories.fakes import fakes
from shelf_assets_tests.stories.photos import received

DAY = date(2026, 3, 1)
NEXT_DAY = date(2026, 3, 2)
STAGES = STAGE_NAMES
PREDICTIONS = tuple(stage.name for stage in prediction_stages())
# The stages that process a new photo. `image_tensors` is missing, because validation already makes the tensor.
WORKING = ("raw_images", *PREDICTIONS)
Snapshot = dict[str, pl.DataFrame]


def stage_keys(*stages: str) -> set[dg.AssetKey]:
    return {dg.AssetKey(stage) for stage in stages or STAGES}


@dataclass
class Platform:
    """One lake on disk with its own Dagster instance, run by fake models of one version unless `overrides` says otherwise."""

    settings: Settings
    overrides: Mapping[str, object] | None = None
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    _landed: int = 0

    @cached_property
    def lake(self) -> Lake:
        return open_lake(self.settings)

    @cached_property
    def defs(self) -> dg.Definitions:
        return build_defs(self.settings, dict(fakes(self.settings) if self.overrides is None else self.overrides))

    def land(self, day: date, files: Mapping[str, bytes]) -> list[str]:
        """Put files under the day's prefix, received one second apart; returns their keys."""
        keys = list(land(self.lake.objects, day, files.items()))
        for key in keys:
            self._received(day, key)
        return keys

    def overwrite(self, day: date, key: str, data: bytes) -> None:
        self.lake.objects.put(key, data)
        self._received(day, key)

    def _received(self, day: date, key: str) -> None:
        self._landed += 1
        moment = received(day, self._landed)
        os.utime(self.settings.lake.folder / key, (moment, moment))

    def run(self, *days: date, stages: Iterable[str] = STAGES) -> list[FinishedRun]:
        return run_days(self.defs, self.instance, days, stage_keys(*stages))

    def with_models(self, version: int) -> Platform:
        """The same lake with another version of the models."""
        return Platform(self.settings, fakes(self.settings, version), self.instance, self._landed)

    def with_settings(self, **values: Any) -> Platform:
        """The same lake and instance with some settings changed; names as in `Settings.replace`."""
        return Platform(self.settings.replace(**values), None, self.instance, self._landed)

    def rows(self, table: str, day: date | None = None) -> pl.DataFrame:
        return self.lake.table(table).scan(day, day).collect()

    def statuses(self, day: date) -> dict[str, int]:
        return dict(self.rows("raw_images", day).group_by("status").len().iter_rows())

    def work(self, run: FinishedRun) -> dict[str, int]:
        """Photos that each stage of a run worked on."""
        return dict(self.rows("stage_runs").filter(run_id=run.run_id).select("stage", "images").iter_rows())

    def tensors(self, day: date) -> pl.DataFrame:
        return self._tensor_day(day).index().entries

    def drop_tensors(self, day: date) -> None:
        """Delete the day's tensors, as a lifecycle rule does; they are made again when needed."""
        prefix = self._tensor_day(day).prefix
        self.lake.objects.delete([stored.key for stored in self.lake.objects.list(prefix)])

    def _tensor_day(self, day: date) -> TensorDay:
        return Tensors(self.lake, self.settings.vision).day(day)

    def metadata(self, asset: str) -> Mapping[str, object]:
        """Metadata of the asset's newest materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None and event.asset_materialization is not None, f"{asset} was never materialized"
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    def versions(self) -> dict[str, int | None]:
        return {name: self.lake.table(name).version() for name in tables()}

    def snapshot(self, *days: date) -> Snapshot:
        """Everything that a run writes, except values that differ between lakes: inference times and entity tags of files."""
        held = {name: self.rows(name) for name in table_stages()}
        for day in days:
            held[f"tensors of {day}"] = self.tensors(day).select("image_id", "sha256", "reason", "detail")
        return {
            name: frame.drop("inferred_at", "etag", strict=False).sort(
                [column for column in ("day", "image_id", "sha256", "model_digest") if column in frame.columns]
            )
            for name, frame in held.items()
        }


def assert_same(found: Snapshot, expected: Snapshot) -> None:
    assert list(found) == list(expected)
    for name, frame in expected.items():
        assert found[name].equals(frame), f"{name} differs:\nfound {found[name]}\nexpected {frame}"


def undecodable(monkeypatch: pytest.MonkeyPatch, *photos_of_it: bytes) -> None:
    """Let the decoder fail on these accepted photos, as a new version of it might."""
    hashes = {hashlib.sha256(data).hexdigest() for data in photos_of_it}

    def validated_only(*arguments: Any) -> ValidatedObject:
        found = validate(*arguments)
        return replace(found, pixels=None) if found.sha256 in hashes else found

    def fails(data: bytes | None, sha256: str, geometry: Geometry) -> np.ndarray:
        if sha256 in hashes:
            raise Undecodable(Reason.decode_error, "the new decoder stumbles")
        return pixels_of(data, sha256, geometry)

    monkeypatch.setattr("shelf_assets.pipeline.ingest.validate", validated_only)
    monkeypatch.setattr("shelf_assets.pipeline.pixels.pixels_of", fails)
