"""Rules for every model of dbt_bi, checked on the parsed manifest. No numbers here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from shelf_assets.bi.sources import generated_files
from shelf_assets.registry import table_stages, tables
from shelf_assets_tests.marts.dbt_runner import DBT_PROJECT, DbtRunner, succeeded

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def manifest(parsed: DbtRunner) -> dict[str, Any]:
    return parsed.manifest()


@pytest.fixture(scope="module")
def marts(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in models(manifest) if node["path"].startswith("marts/")]
    assert len(found) == 6
    return found


def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def attached_tests(manifest: dict[str, Any], unique_id: str) -> list[dict[str, Any]]:
    children = [manifest["nodes"][child] for child in manifest["child_map"][unique_id] if child.startswith("test.")]
    return [node for node in children if node.get("attached_node") == unique_id]


def test_every_description_opens_with_the_grain(manifest: dict[str, Any]) -> None:
    described = [*models(manifest), *manifest["sources"].values()]
    assert [n["name"] for n in described if not n["description"].startswith("One row per ")] == []


def test_every_column_is_described(manifest: dict[str, Any]) -> None:
    described = [*models(manifest), *manifest["sources"].values()]
    bare = [f"{n['name']}.{c['name']}" for n in described for c in n["columns"].values() if not c["description"]]
    assert bare == []
    assert [n["name"] for n in described if not n["columns"]] == []


def test_every_mart_has_an_enforced_contract_with_a_day(marts: list[dict[str, Any]]) -> None:
    assert [n["name"] for n in marts if not n["config"]["contract"]["enforced"]] == []
    for node in marts:
        assert node["columns"]["day"]["data_type"] == "date", node["name"]
        assert all(column["data_type"] for column in node["columns"].values()), node["name"]


def test_every_mart_replaces_days_and_tests_its_key(manifest: dict[str, Any], marts: list[dict[str, Any]]) -> None:
    for node in marts:
        assert node["config"]["materialized"] == "incremental", node["name"]
        assert node["config"]["incremental_strategy"] == "replace_days", node["name"]
        keys = [
            test["test_metadata"]["kwargs"]["columns"]
            for test in attached_tests(manifest, node["unique_id"])
            if test["test_metadata"]["name"] == "one_row_per"
        ]
        assert keys, f"{node['name']} has no one_row_per test of its key"
        for column in keys[0]:
            constraints = [c["type"] for c in node["columns"][column]["constraints"]]
            assert "not_null" in constraints, f"{node['name']}.{column} is part of the key and may be null"


def test_every_dbt_test_covers_the_days_of_the_run_only(manifest: dict[str, Any]) -> None:
    generic = [n for n in manifest["nodes"].values() if n["resource_type"] == "test" and n.get("test_metadata")]
    assert [n["name"] for n in generic if "__window__" not in (n["config"]["where"] or "")] == []
    for path in (DBT_PROJECT / "tests").glob("*.sql"):
        sql = path.read_text()
        assert "in_window(" in sql or 'ref("stg_' in sql, f"{path.name} reads days outside the window"


def test_every_dbt_test_becomes_a_check_of_a_mart(manifest: dict[str, Any]) -> None:
    """Dagster logs a test without an asset as an observation of an asset that does not exist."""
    names = {node["name"] for node in models(manifest) if node["path"].startswith("marts/")}
    for node in manifest["nodes"].values():
        if node["resource_type"] != "test":
            continue
        pinned = node["config"]["meta"].get("dagster", {}).get("ref", {}).get("name")
        parents = [parent.rsplit(".", 1)[-1] for parent in node["depends_on"]["nodes"]]
        target = pinned or (parents[0] if len(parents) == 1 else None)
        assert target in names and target in parents, f"{node['name']} belongs to no mart (parents {parents})"


def test_marts_are_grouped_owned_and_shown(manifest: dict[str, Any], marts: list[dict[str, Any]]) -> None:
    for node in marts:
        assert node["config"]["meta"]["dagster"] == {"group": "marts", "owners": ["team:analytics"]}, node["name"]
    [exposure] = manifest["exposures"].values()
    assert set(exposure["depends_on"]["nodes"]) == {node["unique_id"] for node in marts}


def test_sources_are_the_tables_that_the_lake_declares(manifest: dict[str, Any]) -> None:
    declared = {name: list(spec.schema) for name, spec in tables().items()}
    assert {s["name"]: list(s["columns"]) for s in manifest["sources"].values()} == declared


def test_only_assets_are_upstream_of_marts(manifest: dict[str, Any]) -> None:
    """For a source without an asset Dagster creates a placeholder, and eager conditions wait for it for ever."""
    used = {p for n in models(manifest) for p in n["depends_on"]["nodes"] if p.startswith("source.")}
    keys = {manifest["sources"][name]["name"]: manifest["sources"][name]["config"]["meta"] for name in used}
    assert {name: meta["dagster"] for name, meta in keys.items()} == {
        name: {"asset_key": [name]} for name in table_stages()
    }


def test_defaults_are_those_of_the_settings() -> None:
    from dbt.clients.yaml_helper import load_yaml_text

    from shelf_assets.settings import Settings

    project = load_yaml_text((DBT_PROJECT / "dbt_project.yml").read_text())
    assert project is not None
    settings = Settings()
    assert project["vars"] == {
        "low_confidence": settings.bi.low_confidence,
        "eur_per_hour": settings.pipeline.eur_per_hour,
    }


def test_generated_files_are_in_step_with_the_registry() -> None:
    for name, content in generated_files().items():
        assert (DBT_PROJECT / name).read_text() == content, f"{name}: run python -m shelf_assets.bi.sources"


def test_parsing_writes_no_file_into_the_project(parsed: DbtRunner) -> None:
    left = {path.name for path in DBT_PROJECT.iterdir()}
    assert left == {".gitignore", "dbt_project.yml", "macros", "models", "profiles.yml", "tests"}


def test_databricks_target_parses_without_credentials(tmp_path: Path) -> None:
    if importlib.util.find_spec("dbt.adapters.databricks") is None:
        pytest.skip("dbt-databricks is not installed here: the warehouse target cannot be parsed")
    runner = DbtRunner(tmp_path, "", environ={"DATABRICKS_HOST": "workspace.invalid"})
    succeeded(runner.run("parse", "--target", "databricks"))
    written = {path.stem for path in (DBT_PROJECT / "models").rglob("*.sql")}
    assert {node["name"] for node in models(runner.manifest())} == written
    assert {s["schema"] for s in runner.manifest()["sources"].values()} == {"shelf_assets"}
