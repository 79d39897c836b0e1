"""The `shelf` command: the output of each verb, and usage errors, which are named and exit with code 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import Result

from shelf_assets.days import today_utc
from shelf_assets.intake.photo_folder import open_folder
from shelf_assets.intake.put_photos import landed_key
from shelf_assets.lake.object_store import image_id_of
from shelf_assets.registry import prediction_stages
from shelf_assets.settings import Settings, load_settings
from shelf_assets_tests.cli.commands import printed, shelf, shelf_process
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.stories.photos import photos, truncated

VERBS = ("demo", "land", "run", "plan", "calibrate", "status", "maintain", "dev", "config", "show", "serve", "keys")
YESTERDAY = today_utc() - timedelta(days=1)


def test_help_names_every_verb(settings: Settings) -> None:
    helped = shelf("--help", settings=settings)
    assert helped.exit_code == 0
    for verb in VERBS:
        assert f" {verb} " in helped.output, verb
        assert shelf(verb, "--help", settings=settings).exit_code == 0, verb


def test_config_hides_secrets() -> None:
    shown = shelf_process(
        "config",
        SHELF_MODELS_BATCH_SIZE="17",
        AWS_ACCESS_KEY_ID="the-access-key",
        AWS_SECRET_ACCESS_KEY="open-sesame",
        AWS_SESSION_TOKEN="token-sesame",
    )
    assert shown.returncode == 0, shown.stderr
    (line,) = (line for line in shown.stdout.splitlines() if "SHELF_MODELS_BATCH_SIZE" in line)
    assert " 17 " in line, "the environment must not be read"
    assert "AWS_SECRET_ACCESS_KEY" in shown.stdout
    assert "sesame" not in shown.stdout + shown.stderr


def test_wrong_variable_is_reported_without_traceback() -> None:
    refused = shelf_process("config", SHELF_MODELS_SET="best")
    assert refused.returncode == 2
    assert refused.stderr.startswith("shelf: SHELF_MODELS_SET")
    assert "Traceback" not in refused.stderr


def test_mistake_is_named_without_dagster() -> None:
    """None in sys.modules: an import of it fails as if it were not installed."""
    script = "import sys; sys.modules['dagster'] = None; from shelf_assets.cli.app import app; app(['config'])"
    environment = os.environ | {"SHELF_MODELS_SET": "best"}
    refused = subprocess.run(
        [sys.executable, "-c", script], cwd=repo_root, env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.startswith("shelf: SHELF_MODELS_SET")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("SHELF_MODELS_SET", "best", ["SHELF_MODELS_SET", "production", "embedded"]),
        ("SHELF_MODELS_BATCH_SIZE", "-1", ["SHELF_MODELS_BATCH_SIZE", "greater than or equal to 0"]),
        ("SHELF_LAKE_URL", "/a/folder", ["SHELF_LAKE_URL", "file:///", "s3://"]),
        ("SHELF_MODELS_BATCHSIZE", "8", ["SHELF_MODELS_BATCHSIZE", "SHELF_MODELS_BATCH_SIZE"]),
    ],
)
@pytest.mark.parametrize("verb", ["config", "status"])
def test_wrong_setting_is_named(verb: str, name: str, value: str, named: list[str]) -> None:
    refused = shelf(verb, settings=partial(load_settings, {name: value}))
    assert refused.exit_code == 2
    for words in named:
        assert words in printed(refused)


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--day", "2026-02-30"], "'2026-02-30' is not a day"),
        (["--day", "yesterday"], "YYYY-MM-DD"),
        (["--day", "2199-01-01"], "2199-01-01 lies in the future"),
        (["--day", "1999-01-01"], "before the calendar's first day"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "ends (2026-03-01) before it begins"),
        (["--from", "2026-03-02"], "which days?"),
        (["--day", "2026-03-01", "--to", "2026-03-02"], "not both"),
        ([], "which days?"),
    ],
)
def test_invalid_day_is_refused_without_traceback(
    settings: Settings, verb: str, words: list[str], message: str
) -> None:
    refused = shelf(verb, *words, settings=settings)
    assert refused.exit_code == 2
    assert message in printed(refused)


def test_lake_url_of_a_file_is_refused_without_traceback(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")
    refused = shelf("status", settings=settings.replace(lake__url=(tmp_path / "lake").as_uri()))
    assert refused.exit_code == 2
    assert str(tmp_path / "lake") in printed(refused)


def test_missing_photo_folder_is_named(settings: Settings) -> None:
    refused = shelf("land", "/no/such/folder", settings=settings)
    assert refused.exit_code == 2
    assert "/no/such/folder" in printed(refused)


def test_land_refuses_oversized_video_by_name(settings: Settings, tmp_path: Path) -> None:
    settings = settings.replace(photos__max_bytes=100_000)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "front.jpg").write_bytes(b"small")
    (tmp_path / "photos" / "holiday.mp4").write_bytes(b"v" * 100_001)
    landed = shelf("land", str(tmp_path / "photos"), "--day", str(YESTERDAY), settings=settings)
    assert landed.exit_code == 0
    assert "holiday.mp4" in printed(landed)
    assert "0 photos are under" in printed(landed) and "1 were refused" in printed(landed)
    assert "not_an_image" in printed(landed)


def test_brackets_in_a_path_are_printed_literally(settings: Settings) -> None:
    refused = shelf("land", "/no/such [bold] folder [/front]", settings=settings)
    assert refused.exit_code == 2
    assert "[bold] folder [/front]" in printed(refused)


def test_show_refuses_unknown_image_id(settings: Settings) -> None:
    unknown = shelf("show", "00000000-0000-7000-8000-000000000000", settings=settings)
    assert unknown.exit_code == 2
    assert "00000000-0000-7000-8000-000000000000" in printed(unknown)


@dataclass(frozen=True)
class Worked:
    """The output of each command of a user's day."""

    settings: Settings
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
def worked(parsed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    """land, land again, plan, run (without the marts), plan, status; with fake models, on an instance of its own."""
    from shelf_assets import build
    from shelf_assets_tests.stories.fakes import ColourModels, fakes

    place = tmp_path_factory.mktemp("worked")
    settings = load_settings({}, home=shutil.copytree(parsed_home, place / "home"))
    folder = place / "photos"
    folder.mkdir()
    files = {**photos(range(3)), "again": photos([0])["photo-0"], "cut": truncated()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    keys = {name: landed_key(YESTERDAY, name, data) for name, data in open_folder(folder, 10**9).read()}
    day = ["--day", str(YESTERDAY)]
    verb = partial(shelf, settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_defs", partial(build.build_defs, resource_overrides=fakes(settings)))
        patch.setattr(build, "build_models", lambda settings, lake: ColourModels.over(lake, settings))
        yield Worked(
            settings=settings,
            good=image_id_of(keys["photo-1"]),
            broken=image_id_of(keys["cut"]),
            land=verb("land", str(folder), *day, "--as-is"),
            land_again=verb("land", str(folder), *day, "--as-is"),
            plan=verb("plan", *day),
            plan_twice=verb("plan", *day),
            run=verb("run", *day, "--select", "group:intake or group:vision"),
            plan_after=verb("plan", *day),
            select_nothing=verb("run", *day, "--select", "key:no_such_asset"),
            status=verb("status"),
        )


def test_landing_the_same_folder_again_adds_no_objects(worked: Worked) -> None:
    assert worked.land.exit_code == worked.land_again.exit_code == 0
    assert "5 photos are under" in printed(worked.land)
    assert f"shelf run --day {YESTERDAY}" in printed(worked.land)
    objects = [path for path in (worked.settings.home / "lake" / "images").rglob("*") if path.is_file()]
    assert len(objects) == 5


def test_plan_lists_work_by_cause(worked: Worked) -> None:
    assert worked.plan.exit_code == 0, worked.plan.output
    assert "new objects" in worked.plan.output
    assert "raw_images" in worked.plan.output and "clip_embeddings" in worked.plan.output
    assert worked.plan_twice.output == worked.plan.output


def test_run_prints_its_result(worked: Worked) -> None:
    assert worked.run.exit_code == 0, worked.run.output
    assert f"{YESTERDAY}: done, run " in printed(worked.run)


def test_plan_of_a_finished_day_has_no_work(worked: Worked) -> None:
    assert worked.plan_after.exit_code == 0
    assert "Nothing to compute" in worked.plan_after.output


def test_selection_without_assets_is_refused(worked: Worked) -> None:
    assert worked.select_nothing.exit_code == 2
    assert "no_such_asset" in printed(worked.select_nothing)


def test_status_counts_add_up(worked: Worked) -> None:
    assert worked.status.exit_code == 0
    (line,) = (line for line in worked.status.output.splitlines() if str(YESTERDAY) in line)
    assert line.split() == [str(YESTERDAY), "5", "3", "1", "1", *["3"] * len(prediction_stages()), "0"]


def test_show_prints_every_event_of_a_photo(worked: Worked) -> None:
    shown = shelf("show", worked.good, settings=worked.settings)
    assert shown.exit_code == 0
    for words in ("accepted", "classifications by colour-classifier-1", "clip_embeddings by", "sha256", "model_digest"):
        assert words in shown.output, words


def test_show_prints_the_rejection_reason(worked: Worked) -> None:
    shown = shelf("show", worked.broken, settings=worked.settings)
    assert shown.exit_code == 0
    assert "rejected as truncated" in shown.output
    assert "reason_detail" in shown.output
