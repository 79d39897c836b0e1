"""The registry: every stage and table is declared once, in the order of the graph, and reading names imports nothing heavy."""

from __future__ import annotations

import pytest

from shelf_assets.pipeline.prices import eur_per_hour
from shelf_assets.registry import STAGE_NAMES, prediction_stages, stages, table_stages, tables
from shelf_assets.settings import SettingsError, load_settings
from shelf_assets_tests.graph import Graph
from shelf_assets_tests.test_startup import found_after_import


def test_a_stage_and_its_table_have_the_name_of_its_module() -> None:
    assert tuple(stage.name for stage in stages()) == STAGE_NAMES
    assert len(set(STAGE_NAMES)) == len(STAGE_NAMES)
    assert [stage.table.name for stage in stages() if stage.table] == list(table_stages())


def test_names_of_stages_cost_no_heavy_import(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    assert found_after_import("shelf_assets.registry", ["polars", "numpy", "torch", "dagster", "pydantic"], home) == []


def test_declarations_of_stages_need_no_dagster_and_no_torch(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    for stage in STAGE_NAMES:
        module = f"shelf_assets.pipeline.stages.{stage}"
        assert found_after_import(module, ["dagster", "torch", "shelf_assets.settings"], home) == [], module


def test_every_stage_is_an_asset_after_those_that_it_reads(graph: Graph) -> None:
    assets = {key.to_user_string(): graph.assets.get(key) for key in graph.assets.materializable_asset_keys}
    for position, name in enumerate(STAGE_NAMES):
        declared = stages()[position]
        assert (assets[name].group_name, assets[name].code_version) == (declared.group, declared.code_version)
        read = {parent.to_user_string() for parent in assets[name].parent_keys} & set(STAGE_NAMES)
        assert read <= set(STAGE_NAMES[:position]), name


def test_every_stage_with_a_table_has_a_blocking_contract_and_every_prediction_is_counted(graph: Graph) -> None:
    checks = {
        (key.asset_key.to_user_string(), key.name): graph.assets.get(key) for key in graph.assets.asset_check_keys
    }
    for name in table_stages():
        assert checks[name, "contract"].blocking, name
    for stage in prediction_stages():
        assert checks[stage.name, "every_photo_is_predicted"].blocking, stage.name
    for stage in stages():
        for check in stage.checks:
            assert checks[stage.name, check.name].blocking == check.is_blocking, check.name


def test_a_declared_confidence_is_a_column_of_the_stage() -> None:
    declared = {stage.name: stage.confidence_column for stage in prediction_stages() if stage.confidence_column}
    assert declared["classifications"] == "confidence"
    assert all(column in tables()[name].columns for name, column in declared.items())


def test_a_price_in_the_settings_replaces_the_declared_one_and_no_other() -> None:
    prices = eur_per_hour(load_settings(pipeline__eur_per_hour={"classifications": 0.5}).pipeline.eur_per_hour)
    assert prices == {stage.name: stage.eur_per_hour for stage in stages()} | {"classifications": 0.5}


@pytest.mark.parametrize(
    ("prices", "named"), [({"classification": 1.0}, "there are raw_images"), ({"raw_images": -1.0}, "0 or more")]
)
def test_a_price_of_no_stage_or_below_zero_is_refused(prices: dict[str, float], named: str) -> None:
    with pytest.raises(SettingsError, match=f"SHELF_PIPELINE_EUR_PER_HOUR.*{named}"):
        load_settings(pipeline__eur_per_hour=prices)


def test_rows_about_photos_are_declared_personal() -> None:
    for spec in tables().values():
        assert spec.is_personal == ("image_id" in spec.columns), spec.name
