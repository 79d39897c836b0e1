"""`make demo` from its command to its last line: what it says is what rests, and the picture is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from shelf_assets.build import open_lake
from shelf_assets.days import today_utc
from shelf_assets.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def demo(*options: str) -> tuple[Result, str]:
    """Run `shelf demo OPTIONS`; its result and its words, line breaks undone."""
    from shelf_assets.cli.app import app

    result = CliRunner().invoke(app, ["demo", *options])
    return result, " ".join(result.output.split())


def assert_shown(said: str) -> None:
    """What the summary promises is there."""
    settings = load_settings()
    with Image.open(settings.home / "contact-sheet.png") as sheet:
        assert sheet.width > 500
    with duckdb.connect(settings.bi.marts_path, read_only=True) as marts:
        (in_marts,) = marts.execute("SELECT sum(photos_in) FROM daily_intake_quality").fetchone() or (0,)
    rows = open_lake(settings).table("raw_images").scan().collect()
    counts = dict(rows.group_by("status").len().iter_rows())
    assert in_marts == rows.height
    assert f"accepted │ {counts['accepted']} " in said
    for line in ("The small embedded models run instead", "tables", "marts.duckdb", "contact-sheet.png"):
        assert line in said, line


def test_a_demo_of_drawn_photos_that_does_not_show_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    result, said = demo("--days", "1", "--photos-per-day", "8")
    assert result.exit_code == 0, result.output
    assert f"8 photos landed for {today_utc()}" not in said, "today's photos are still arriving"
    assert "8 photos landed" in said
    assert_shown(said)

    # Rows outlive objects: somebody cleared the folder, and the demo is run once more.
    shutil.rmtree(load_settings().lake.folder / "images")
    again, said = demo("--days", "1", "--photos-per-day", "4")
    assert again.exit_code == 0, again.output
    assert_shown(said)


def test_real_photos_of_one_s_own_that_do_not_get_through(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    groceries, phones = (sorted((shared_data / name).rglob("*.jpg")) for name in ("grocery/val", "phone-photos"))
    for number, path in enumerate([*groceries[::60], *phones[:3], groceries[0]]):
        shutil.copy(path, folder / f"{number}{path.suffix}")
    result, said = demo("--photos", str(folder), "--days", "2")
    assert result.exit_code == 0, result.output
    assert "duplicates │ 1 " in said
    assert "rejected │ 0 " in said
    assert_shown(said)
