"""Tables are changed outside the pipeline: each blocking check fails, names the error, and stops the day."""

from __future__ import annotations

import dagster as dg
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from shelf_assets.models.errors import ModelError
from shelf_assets.registry import table_stages
from shelf_assets_tests.lake import rows as ledger_rows
from shelf_assets_tests.stories.fakes import ColourModels
from shelf_assets_tests.stories.photos import photo, photos
from shelf_assets_tests.stories.support import DAY, NEXT_DAY, PREDICTIONS, Platform


def checked(shop: Platform, asset: str, check: str) -> tuple[bool, str]:
    """Run one check of the day; returns whether it passed, and its description."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    whole = shop.defs.resolve_implicit_global_asset_job_def()
    result = whole.get_subset(asset_selection=set(), asset_check_selection={key}).execute_in_process(
        instance=shop.instance, partition_key=DAY.isoformat(), raise_on_error=False
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation.passed, evaluation.description or ""


def delete(shop: Platform, table: str, predicate: str) -> None:
    DeltaTable(shop.lake.table(table).uri).delete(predicate)


def append(shop: Platform, table: str, rows: pl.DataFrame) -> None:
    arrow = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    write_deltalake(shop.lake.table(table).uri, arrow, mode="append")


@pytest.fixture
def keys(shop: Platform) -> list[str]:
    """The keys of three photos of a finished day."""
    landed = shop.land(DAY, photos(range(3)))
    shop.run(DAY)
    for asset in table_stages():
        assert checked(shop, asset, "contract") == (True, "")
    return landed


def test_object_without_a_row_fails_its_check(shop: Platform, keys: list[str]) -> None:
    assert checked(shop, "raw_images", "every_object_has_a_row")[0]
    delete(shop, "raw_images", f"key = '{keys[0]}'")
    passed, said = checked(shop, "raw_images", "every_object_has_a_row")
    assert not passed
    assert "1 of 3 landed objects have no row" in said


def test_object_without_a_row_fails_its_check_where_no_commit_says_what_was_listed(shop: Platform) -> None:
    """As version 1e6d190 leaves a day: its commits record nothing of the listing."""
    first, _ = shop.land(DAY, photos(range(2)))
    assert "2 of 2 landed objects have no row: materialize" in checked(shop, "raw_images", "every_object_has_a_row")[1]
    shop.lake.create_tables()
    append(shop, "raw_images", ledger_rows.photos([ledger_rows.photo("a", 1, DAY) | {"key": first}]))
    passed, said = checked(shop, "raw_images", "every_object_has_a_row")
    assert not passed
    assert "1 of 2 landed objects have no row: materialize raw_images" in said


def test_check_that_cannot_ask_does_not_silence_the_others(
    shop: Platform, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise ModelError("the weights are not available")

    monkeypatch.setattr(ColourModels, "predictors", unknown)
    checks = dg.AssetSelection.checks_for_assets(*PREDICTIONS).resolve_checks(shop.defs.resolve_asset_graph())
    job = shop.defs.resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_selection=set(), asset_check_selection=set(checks)).execute_in_process(
        instance=shop.instance, partition_key=DAY.isoformat(), raise_on_error=False
    )
    asked = {each.check_name for each in result.get_asset_check_evaluations()}
    assert asked == {key.name for key in checks} - {"every_photo_is_predicted"}
    (failure,) = result.get_step_failure_events()
    assert "the weights are not available" in failure.step_failure_data.error_display_string


def test_object_landed_after_the_run_passes_the_check(shop: Platform, keys: list[str]) -> None:
    shop.land(DAY, {"late": photo(9)})
    assert checked(shop, "raw_images", "every_object_has_a_row")[0]
    delete(shop, "raw_images", f"key = '{keys[0]}'")
    assert not checked(shop, "raw_images", "every_object_has_a_row")[0]


def test_row_of_unknown_status_fails_its_check(shop: Platform, keys: list[str]) -> None:
    row = shop.rows("raw_images").head(1).with_columns(key=pl.lit("images/x"), status=pl.lit("undecided"))
    append(shop, "raw_images", row)
    passed, said = checked(shop, "raw_images", "every_object_has_a_row")
    assert not passed
    assert "1 rows have no known status" in said


def test_bytes_accepted_twice_fail_their_check(shop: Platform, keys: list[str]) -> None:
    copy = shop.rows("raw_images").head(1).with_columns(day=pl.lit(NEXT_DAY), key=pl.lit("images/copy"))
    append(shop, "raw_images", copy)
    passed, said = checked(shop, "raw_images", "no_bytes_accepted_twice")
    assert not passed
    assert copy["sha256"][0] in said


@pytest.mark.parametrize("table", table_stages())
def test_repeated_row_fails_the_contract(table: str, shop: Platform, keys: list[str]) -> None:
    append(shop, table, shop.rows(table).head(1))
    passed, said = checked(shop, table, "contract")
    assert not passed
    assert table in said


@pytest.mark.parametrize("table", PREDICTIONS)
def test_photo_without_a_prediction_fails_its_check(table: str, shop: Platform, keys: list[str]) -> None:
    lost = shop.rows(table)["image_id"][0]
    delete(shop, table, f"image_id = '{lost}'")
    passed, said = checked(shop, table, "every_photo_is_predicted")
    assert not passed
    assert lost in said


def test_rollback_from_an_unfinished_model_passes_the_check(shop: Platform, keys: list[str]) -> None:
    other = shop.with_models(2)
    other.run(DAY)
    newest = shop.rows("classifications").sort("inferred_at").tail(3)
    for image_id in newest["image_id"][1:]:
        delete(shop, "classifications", f"image_id = '{image_id}' and model_id = 'colour-classifier-2'")
    assert not checked(other, "classifications", "every_photo_is_predicted")[0]
    assert checked(shop, "classifications", "every_photo_is_predicted")[0], (
        "all photos are predicted by the configured model"
    )
