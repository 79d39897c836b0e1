"""`shelf demo` from end to end: its summary agrees with the tables, and its contact sheet exists."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from PIL import Image

from shelf_assets.build import open_lake
from shelf_assets.days import today_utc
from shelf_assets.demo.shipped_photos import shipped_photos
from shelf_assets.settings import Settings
from shelf_assets_tests.cli.commands import printed, shelf

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def demo(settings: Settings, *options: str) -> str:
    """Run `shelf demo OPTIONS`; returns its output, with line breaks removed."""
    result = shelf("demo", *options, settings=settings, width=80)
    assert result.exit_code == 0, result.output
    return printed(result)


def assert_summary_is_true(summary: str, settings: Settings) -> None:
    """Assert that the summary agrees with the marts and the tables, and that the files which it names exist."""
    with Image.open(settings.home / "contact-sheet.png") as sheet:
        assert sheet.width > 500
    with duckdb.connect(settings.bi.marts_path, read_only=True) as marts:
        (in_marts,) = marts.execute("SELECT sum(photos_in) FROM daily_intake_quality").fetchone() or (0,)
    rows = open_lake(settings).table("raw_images").scan().collect()
    counts = dict(rows.group_by("status").len().iter_rows())
    assert in_marts == rows.height
    assert f"accepted │ {counts['accepted']} " in summary
    for line in ("The small embedded models run instead", "tables", "marts.duckdb", "contact-sheet.png"):
        assert line in summary, line


def test_demo_shows_the_shipped_photos_and_a_second_one_survives_a_cleared_folder(
    settings: Settings, tmp_path: Path
) -> None:
    shipped = shipped_photos()
    summary = demo(settings, "--days", "1")
    assert f"photos landed for {today_utc()}" not in summary, "the demo must not land photos of today"
    assert f"{len(shipped)} photos landed" in summary
    for reason in ("empty", "not_an_image", "too_many_pixels", "truncated", "unsupported_format"):
        assert f"│ {reason} │" in summary, reason
    assert_summary_is_true(summary, settings)

    # The folder is cleared, but the rows of its photos stay; then the demo runs again with a few photos.
    shutil.rmtree(settings.lake.folder / "images")
    own = tmp_path / "own"
    own.mkdir()
    for name, data in shipped[:4]:
        (own / name).write_bytes(data)
    summary = demo(settings, "--days", "1", "--photos", str(own))
    assert_summary_is_true(summary, settings)


def test_own_photos_are_accepted_except_for_a_copy(settings: Settings, shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    groceries, phones = (sorted((shared_data / name).rglob("*.jpg")) for name in ("grocery/val", "phone-photos"))
    for number, path in enumerate([*groceries[::60], *phones[:3], groceries[0]]):
        shutil.copy(path, folder / f"{number}{path.suffix}")
    summary = demo(settings, "--photos", str(folder), "--days", "2")
    assert "duplicates │ 1 " in summary
    assert "rejected │ 0 " in summary
    assert_summary_is_true(summary, settings)
