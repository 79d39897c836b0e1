"""When dbt is called and what for, with the real dbt behind a shell script that writes down each call."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from shelf_assets.defs.resources import dbt
from shelf_assets.settings import Settings
from shelf_assets_tests.marts.small_lake import FULL_DAY, SmallLake, write_three_days


@dataclass(frozen=True)
class Project:
    """A copy of dbt_bi and a home folder of its own."""

    folder: Path
    settings: Settings
    log: Path

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Parsed by two that start at the same moment."""
    place = tmp_path_factory.mktemp("dbt")
    log, script = place / "calls", place / "dbt"
    script.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\nexec "{dbt.dbt_executable()}" "$@"\n')
    script.chmod(0o755)
    folder = shutil.copytree(dbt.PROJECT_DIR, place / "dbt_bi", ignore=shutil.ignore_patterns("target", "logs"))
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt, "PROJECT_DIR", folder)
        patch.setattr(dbt, "dbt_executable", lambda: str(script))
        made = Project(folder, Settings(home=place / "home"), log)
        with ThreadPoolExecutor(2) as both:
            list(both.map(dbt.manifest_path, [made.settings] * 2))
        yield made
    os.environ.clear()
    os.environ.update(before)


def test_two_that_start_together_both_parse(project: Project) -> None:
    """The second would also read the manifest while the first writes it."""
    assert len(project.calls()) == 1
    assert json.loads(dbt.manifest_path(project.settings).read_text())["nodes"]


def test_a_checkout_parses_the_same_project_again(project: Project) -> None:
    before = len(project.calls())
    for path in dbt.project_files():
        path.touch()
    dbt.manifest_path(project.settings)
    assert len(project.calls()) == before


def test_a_parse_that_was_killed_looks_finished(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    other = project.settings.replace(bi__marts_path=project.settings.home / "other.duckdb")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(dbt.subprocess, "run", killed)
        dbt.manifest_path(other)
    before = len(project.calls())
    dbt.manifest_path(project.settings)
    assert len(project.calls()) == before + 1


def test_a_run_pays_for_more_than_the_build(project: Project) -> None:
    """dbt --version asks a registry on the network; changed variables make dbt parse all of the project again."""
    from shelf_assets.defs.assets import marts

    write_three_days(SmallLake(project.settings.lake.url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marts, "PROJECT_DIR", project.folder)
        assets = marts.build_marts(project.settings)
        before = len(project.calls())
        done = dg.materialize(
            [assets],
            partition_key=FULL_DAY.isoformat(),
            resources={"dbt": dbt.build_dbt_resource(project.settings)},
            instance=dg.DagsterInstance.ephemeral(),
        )
    assert len(done.get_asset_materialization_events()) == len(assets.keys)
    assert done.get_asset_check_evaluations()
    [call] = project.calls()[before:]
    assert call.startswith("build ")
    [log] = dbt.target_path(project.settings).glob("marts-*/dbt.log")
    assert "PartialParsingSkipParsing" in log.read_text()


def test_a_deleted_test_stays_a_check(project: Project) -> None:
    """Last here: it changes the project. By the newest file's time, a deletion was no change."""
    gone = "test.shelf_bi.rejections_add_up"
    assert gone in json.loads(dbt.manifest_path(project.settings).read_text())["nodes"]
    (project.folder / "tests" / "rejections_add_up.sql").unlink()
    assert gone not in json.loads(dbt.manifest_path(project.settings).read_text())["nodes"]
