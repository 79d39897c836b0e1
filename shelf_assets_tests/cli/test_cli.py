"""The `shelf` command as people type it: what each verb prints, and that a mistake is told by name with exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from shelf_assets.days import today_utc
from shelf_assets.intake.photo_folder import open_folder
from shelf_assets.intake.put_photos import landed_key
from shelf_assets.lake.object_store import image_id_of
from shelf_assets_tests.stories.photos import photos, truncated

VERBS = ("demo", "land", "run", "plan", "calibrate", "status", "upkeep", "dev", "config", "show", "serve", "keys")
WIDTH = 240
YESTERDAY = today_utc() - timedelta(days=1)


def shelf(*words: str) -> Result:
    """Run `shelf WORDS` in this process."""
    from shelf_assets.cli.app import app

    return CliRunner().invoke(app, list(words))


def said(result: Result) -> str:
    """What was printed, its line breaks undone."""
    return " ".join(result.output.split())


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are cut to the terminal: a narrow one would hide what is looked for."""
    from shelf_assets.cli.app import app as cli

    for console in (cli.console, cli.errors):
        monkeypatch.setattr(console, "width", WIDTH)


def test_a_verb_that_help_does_not_name() -> None:
    helped = shelf("--help")
    assert helped.exit_code == 0
    for verb in VERBS:
        assert f" {verb} " in helped.output, verb
        assert shelf(verb, "--help").exit_code == 0, verb


def test_a_secret_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-sesame")
    shown = shelf("config")
    assert shown.exit_code == 0
    assert "SHELF_MODELS_BATCH_SIZE" in shown.output
    assert "sesame" not in shown.output


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SHELF_MODELS_SET", "best", ["SHELF_MODELS_SET", "production", "embedded"]),
        ("SHELF_MODELS_BATCH_SIZE", "-1", ["SHELF_MODELS_BATCH_SIZE", "greater than or equal to 0"]),
        ("SHELF_LAKE_URL", "/a/folder", ["SHELF_LAKE_URL", "file:///", "s3://"]),
        ("SHELF_BATCHSIZE", "8", ["SHELF_BATCHSIZE", "SHELF_MODELS_BATCH_SIZE"]),
    ],
)
@pytest.mark.parametrize("verb", ["config", "status"])
def test_a_wrong_setting_that_is_not_named(
    monkeypatch: pytest.MonkeyPatch, verb: str, name: str, value: str, told: list[str]
) -> None:
    monkeypatch.setenv(name, value)
    refused = shelf(verb)
    assert refused.exit_code == 2
    for words in told:
        assert words in said(refused)


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--day", "2026-02-30"], "'2026-02-30' is no day"),
        (["--day", "yesterday"], "YYYY-MM-DD"),
        (["--day", "2199-01-01"], "2199-01-01 lies in the future"),
        (["--day", "1999-01-01"], "before the calendar's first day"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "ends (2026-03-01) before it begins"),
        (["--from", "2026-03-02"], "which days?"),
        (["--day", "2026-03-01", "--to", "2026-03-02"], "not both"),
        ([], "which days?"),
    ],
)
def test_a_bad_day_told_by_a_traceback(verb: str, words: list[str], told: str) -> None:
    refused = shelf(verb, *words)
    assert refused.exit_code == 2
    assert told in said(refused)


def test_a_lake_that_is_a_file_told_by_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lake").write_text("no folder")
    monkeypatch.setenv("SHELF_LAKE_URL", (tmp_path / "lake").as_uri())
    refused = shelf("status")
    assert refused.exit_code == 2
    assert str(tmp_path / "lake") in said(refused)


def test_a_folder_that_is_not_there() -> None:
    refused = shelf("land", "/no/such/folder")
    assert refused.exit_code == 2
    assert "/no/such/folder" in said(refused)


def test_a_video_among_the_photos_passes_through_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_PHOTOS_MAX_BYTES", "100000")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "front.jpg").write_bytes(b"small")
    (tmp_path / "photos" / "holiday.mp4").write_bytes(b"v" * 100_001)
    landed = shelf("land", str(tmp_path / "photos"), "--day", str(YESTERDAY))
    assert landed.exit_code == 0
    assert "holiday.mp4" in said(landed)
    assert "0 photos are under" in said(landed) and "1 were refused" in said(landed)
    assert "not_an_image" in said(landed)


def test_brackets_in_a_name_are_taken_for_markup() -> None:
    refused = shelf("land", "/no/such [bold] folder [/front]")
    assert refused.exit_code == 2
    assert "[bold] folder [/front]" in said(refused)


def test_an_image_that_nobody_knows_shown_as_nothing() -> None:
    unknown = shelf("show", "00000000-0000-7000-8000-000000000000")
    assert unknown.exit_code == 2
    assert "00000000-0000-7000-8000-000000000000" in said(unknown)


@dataclass(frozen=True)
class Worked:
    """What was printed by each step of a first acquaintance with one day."""

    home: Path
    good: str
    broken: str
    land: Result
    land_again: Result
    plan: Result
    plan_twice: Result
    run: Result
    plan_after: Result
    select_nothing: Result
    status: Result


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    """land, land again, plan, run (without the marts), plan, status; by stand-in models, on an instance of its own."""
    import shelf_assets.cli.app as cli
    import shelf_assets.definitions as definitions
    import shelf_assets.pipeline.models as models
    from shelf_assets_tests.stories.fakes import ColourModels

    place = tmp_path_factory.mktemp("acquaintance")
    folder = place / "photos"
    folder.mkdir()
    files = {**photos(range(3)), "again": photos([0])["photo-0"], "cut": truncated()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    keys = {name: landed_key(YESTERDAY, name, data) for name, data in open_folder(folder, 10**9).read()}
    day = ["--day", str(YESTERDAY)]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        patch.delenv("SHELF_LAKE_URL", raising=False)
        patch.setenv("SHELF_HOME", str(place / "home"))
        for console in (cli.console, cli.errors):
            patch.setattr(console, "width", WIDTH)
        patch.setattr(definitions, "build_defs", partial(definitions.build_defs, resource_overrides=fakes(settings)))
        patch.setattr(models, "ModelsResource", ColourModels)
        yield Worked(
            home=place / "home",
            good=image_id_of(keys["photo-1"]),
            broken=image_id_of(keys["cut"]),
            land=shelf("land", str(folder), *day, "--as-is"),
            land_again=shelf("land", str(folder), *day, "--as-is"),
            plan=shelf("plan", *day),
            plan_twice=shelf("plan", *day),
            run=shelf("run", *day, "--select", "group:intake or group:vision"),
            plan_after=shelf("plan", *day),
            select_nothing=shelf("run", *day, "--select", "key:no_such_asset"),
            status=shelf("status"),
        )


@pytest.fixture
def worked_home(worked: Worked, monkeypatch: pytest.MonkeyPatch) -> Worked:
    monkeypatch.setenv("SHELF_HOME", str(worked.home))
    return worked


def test_landing_that_lands_a_folder_twice(worked: Worked) -> None:
    assert worked.land.exit_code == worked.land_again.exit_code == 0
    assert "5 photos are under" in said(worked.land)
    assert f"shelf run --day {YESTERDAY}" in said(worked.land)
    objects = [path for path in (worked.home / "lake" / "images").rglob("*") if path.is_file()]
    assert len(objects) == 5


def test_a_plan_without_rows_by_cause(worked: Worked) -> None:
    assert worked.plan.exit_code == 0, worked.plan.output
    assert "new objects" in worked.plan.output
    assert "raw_images" in worked.plan.output and "clip_embeddings" in worked.plan.output
    assert worked.plan_twice.output == worked.plan.output


def test_a_run_that_does_not_say_what_it_did(worked: Worked) -> None:
    assert worked.run.exit_code == 0, worked.run.output
    assert f"{YESTERDAY}: done, run " in said(worked.run)


def test_a_finished_day_that_is_planned_again(worked: Worked) -> None:
    assert worked.plan_after.exit_code == 0
    assert "Nothing to compute" in worked.plan_after.output


def test_a_selection_of_nothing_that_succeeds(worked: Worked) -> None:
    assert worked.select_nothing.exit_code == 2
    assert "no_such_asset" in said(worked.select_nothing)


def test_a_status_that_does_not_add_up(worked: Worked) -> None:
    assert worked.status.exit_code == 0
    (line,) = (line for line in worked.status.output.splitlines() if str(YESTERDAY) in line)
    assert line.split() == [str(YESTERDAY), "5", "3", "1", "1", "3", "3", "0"]


def test_a_photo_whose_story_leaves_something_out(worked_home: Worked) -> None:
    shown = shelf("show", worked_home.good)
    assert shown.exit_code == 0
    for words in ("accepted", "classifications by colour-classifier-1", "clip_embeddings by", "sha256", "model_digest"):
        assert words in shown.output, words


def test_a_rejected_photo_that_does_not_say_why(worked_home: Worked) -> None:
    shown = shelf("show", worked_home.broken)
    assert shown.exit_code == 0
    assert "rejected as truncated" in shown.output
    assert "reason_detail" in shown.output
