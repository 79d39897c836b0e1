"""When and how dbt is called. A shell script records each call and runs the real dbt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import pytest

from shelf_assets.bi import dbt_project
from shelf_assets.bi.dbt_project import DbtProjectHere
from shelf_assets.build import build_dbt_project
from shelf_assets.defs.assets.marts import build_marts
from shelf_assets.defs.resources.dbt import Dbt
from shelf_assets.lake.lake import Lake
from shelf_assets.settings import load_settings
from shelf_assets_tests.marts.small_lake import FULL_DAY, SmallLake, write_three_days


@dataclass(frozen=True)
class Project:
    """A copy of dbt_bi with its own home folder, and the recorded calls of dbt."""

    here: DbtProjectHere
    log: Path

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that two threads parse at the same moment."""
    place = tmp_path_factory.mktemp("dbt")
    real = build_dbt_project(load_settings({}, home=place / "home"))
    log, script = place / "calls", place / "dbt"
    script.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\nexec "{real.executable}" "$@"\n')
    script.chmod(0o755)
    folder = shutil.copytree(real.folder, place / "dbt_bi", ignore=shutil.ignore_patterns("target", "logs"))
    made = Project(replace(real, folder=folder, executable=str(script)), log)
    with ThreadPoolExecutor(2) as both:
        list(both.map(DbtProjectHere.manifest_path, [made.here] * 2))
    yield made


def test_concurrent_starts_parse_the_project_once(project: Project) -> None:
    """Otherwise the second one could also read the manifest while the first one writes it."""
    assert len(project.calls()) == 1
    assert json.loads(project.here.manifest_path().read_text())["nodes"]


def test_unchanged_project_with_new_mtimes_is_not_parsed_again(project: Project) -> None:
    before = len(project.calls())
    for path in dbt_project.manifest_files(project.here.folder):
        path.touch()
    project.here.manifest_path()
    assert len(project.calls()) == before


def test_killed_parse_is_repeated(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = project.here.settings.model_copy(update={"marts_path": project.here.home / "other.duckdb"})
    other = replace(project.here, settings=settings)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(dbt_project.subprocess, "run", killed)
        other.manifest_path()
    before = len(project.calls())
    project.here.manifest_path()
    assert len(project.calls()) == before + 1


def test_run_calls_dbt_build_only_without_full_parse(project: Project) -> None:
    """`dbt --version` requests a package registry; changed variables make dbt parse the whole project again."""
    write_three_days(SmallLake(project.here.lake.url))
    assets = build_marts(project.here)
    before = len(project.calls())
    done = dg.materialize(
        [assets],
        partition_key=FULL_DAY.isoformat(),
        resources={"dbt": Dbt(project.here), "lake": Lake(project.here.lake.url)},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert len(done.get_asset_materialization_events()) == len(assets.keys)
    assert done.get_asset_check_evaluations()
    [call] = project.calls()[before:]
    assert call.startswith("build ")
    [log] = project.here.target_path.glob("marts-*/dbt.log")
    assert "PartialParsingSkipParsing" in log.read_text()


def test_deleted_dbt_test_leaves_the_manifest(project: Project) -> None:
    """File times do not show a deletion. This test is the last one here because it changes the project."""
    gone = "test.shelf_bi.rejections_add_up"
    assert gone in json.loads(project.here.manifest_path().read_text())["nodes"]
    (project.here.folder / "tests" / "rejections_add_up.sql").unlink()
    assert gone not in json.loads(project.here.manifest_path().read_text())["nodes"]
