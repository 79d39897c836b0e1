"""The arrivals sensor over a lake on disk and on S3: which days it reports, and when it reports none."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from shelf_assets.build import build_defs
from shelf_assets.days import today_utc
from shelf_assets.defs.automation import arrivals
from shelf_assets.defs.automation.arrivals import build_arrivals_sensor, s3_client
from shelf_assets.defs.running import run_days
from shelf_assets.intake.put_photos import land
from shelf_assets.lake.settings import LakeSettings
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.defs.automation.ticks import Ticks, only
from shelf_assets_tests.graph import Graph
from shelf_assets_tests.stories.fakes import fakes

LOOKBACK_DAYS = 8
TODAY = today_utc()
OLD_DAY = TODAY - timedelta(days=LOOKBACK_DAYS)
NEW_DAY = TODAY - timedelta(days=1)


class Sensor:
    """The sensor of one lake; keeps the cursor between evaluations."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self.objects, self.url = lake.lake.objects, lake.url
        self._lake, self._settings = lake.lake, lake.settings
        dagster = lake.settings.replace(dagster__arrivals_lookback_days=LOOKBACK_DAYS).dagster
        self._sensor = build_arrivals_sensor(dagster, lake.settings.lake)
        self._cursor: str | None = None
        self.instance = dg.DagsterInstance.ephemeral()

    def land(self, day: date, *names: str) -> list[str]:
        return list(land(self.objects, day, ((name, name.encode()) for name in names)))

    def look(self) -> list[dg.AssetMaterialization] | str:
        """The reported materializations, or the reason why there are none."""
        context = dg.build_sensor_context(self.instance, self._cursor, resources={"lake": self._lake})
        result = self._sensor(context)
        if isinstance(result, dg.SkipReason):
            self._cursor = context.cursor
            return result.skip_message or ""
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        events = [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]
        for event in events:
            self.instance.report_runless_asset_event(event)
        return events

    def run(self, day: date, home: Path) -> None:
        """A run of the day, which somebody started without waiting for the sensor."""
        settings = self._settings.replace(home=home)
        defs = build_defs(settings, fakes(settings))
        assert run_days(defs, self.instance, [day], {dg.AssetKey("raw_images")})

    def reported(self) -> dict[str, str]:
        """Day -> digest of its listing."""
        events = self.look()
        assert not isinstance(events, str), events
        assert {event.asset_key for event in events} == {dg.AssetKey("landing")}
        return {event.partition or "": (event.tags or {})["dagster/data_version"] for event in events}


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix today to the day of the import, because OLD_DAY is at the edge of the look-back and tests may run past midnight."""
    monkeypatch.setattr(arrivals, "today_utc", lambda: TODAY)


@pytest.fixture
def sensor(lake: LakeUnderTest) -> Sensor:
    return Sensor(lake)


def test_first_tick_reports_every_day_with_photos(sensor: Sensor) -> None:
    sensor.land(OLD_DAY, "a", "b")
    sensor.land(NEW_DAY, "c")
    events = sensor.look()
    assert not isinstance(events, str), events
    found = {event.partition: event.metadata["photos"].value for event in events}
    assert found == {OLD_DAY.isoformat(): 2, NEW_DAY.isoformat(): 1}


def test_an_unchanged_lake_is_skipped_with_a_reason(sensor: Sensor) -> None:
    sensor.land(NEW_DAY, "a")
    sensor.look()
    reason = sensor.look()
    assert isinstance(reason, str) and NEW_DAY.isoformat()[:4] in reason and "1 photos" in reason


def test_an_empty_lake_is_skipped(sensor: Sensor) -> None:
    assert isinstance(sensor.look(), str)


def test_a_late_photo_in_an_old_day_is_reported(sensor: Sensor) -> None:
    sensor.land(OLD_DAY, "a")
    sensor.land(NEW_DAY, "b")
    before = sensor.reported()
    sensor.land(OLD_DAY, "late")
    after = sensor.reported()
    assert list(after) == [OLD_DAY.isoformat()]
    assert after[OLD_DAY.isoformat()] != before[OLD_DAY.isoformat()]


def test_new_key_that_sorts_first_is_reported(sensor: Sensor) -> None:
    """A cursor that stores the last key would miss it."""
    sensor.objects.put(f"images/{OLD_DAY:%Y/%m/%d}/zzz", b"z")
    sensor.look()
    sensor.objects.put(f"images/{OLD_DAY:%Y/%m/%d}/aaa", b"a")
    assert list(sensor.reported()) == [OLD_DAY.isoformat()]


def test_an_overwritten_photo_is_reported(sensor: Sensor) -> None:
    (key,) = sensor.land(OLD_DAY, "a")
    before = sensor.reported()
    sensor.objects.put(key, b"b")
    assert sensor.reported()[OLD_DAY.isoformat()] != before[OLD_DAY.isoformat()]


def test_a_deleted_photo_is_reported_and_an_emptied_day_once(sensor: Sensor) -> None:
    keys = sensor.land(OLD_DAY, "a", "b")
    first = sensor.reported()
    sensor.objects.delete(keys[:1])
    second = sensor.reported()
    assert second.keys() == first.keys() and second != first
    sensor.objects.delete(keys[1:])
    assert sensor.reported() == {OLD_DAY.isoformat(): "empty"}
    assert isinstance(sensor.look(), str)


def test_days_before_the_lookback_are_not_listed(sensor: Sensor) -> None:
    """Each day costs one listing, so the number of days is bounded; backfills are for older days."""
    sensor.land(OLD_DAY - timedelta(days=1), "a")
    assert isinstance(sensor.look(), str)


def test_sensor_ignores_objects_that_a_run_already_listed(sensor: Sensor, parsed_home: Path) -> None:
    """Opening the UI after `shelf run` would run every day again, for nothing."""
    sensor.land(OLD_DAY, "a")
    sensor.run(OLD_DAY, parsed_home)
    assert isinstance(sensor.look(), str)
    sensor.land(OLD_DAY, "late")
    assert list(sensor.reported()) == [OLD_DAY.isoformat()]
    sensor.run(OLD_DAY, parsed_home)
    assert isinstance(sensor.look(), str)


def test_reported_arrival_requests_its_day(disk_lake: LakeUnderTest, graph: Graph) -> None:
    sensor, ticks = Sensor(disk_lake), Ticks(graph.defs)
    ticks.tick()
    sensor.land(OLD_DAY, "late")
    events = sensor.look()
    assert not isinstance(events, str), events
    for event in events:
        ticks.instance.report_runless_asset_event(event)
    assert ticks.tick() == only(OLD_DAY, "raw_images")


def test_s3_client_keeps_the_session_token() -> None:
    """Without it the lake works, but the sensor is refused and never sees a late photo."""
    access = {"access_key_id": "key", "secret_access_key": "secret", "session_token": "token"}
    settings = LakeSettings.model_validate({"url": "s3://photos", "s3": access})
    credentials = s3_client(settings)._request_signer._credentials
    assert (credentials.access_key, credentials.token) == ("key", "token")
