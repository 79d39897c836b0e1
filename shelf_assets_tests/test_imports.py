"""Which module may import which: no cycles, Dagster only in `defs`, HTTP on its own, all settings only at the entry points."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from shelf_assets_tests.test_startup import found_after_import
from tools.import_graph import Import, circles, imports, modules, room_of

# Entry points and the assembly of the graph; the packages `cli` and `defs` see the settings as well.
EDGE = {"shelf_assets.build", "shelf_assets.definitions", "shelf_assets.intake.lambda_function"}
# Packages that an upload server does not need, so that its image need not contain them.
NOT_FOR_SERVERS = ["torch", "torchvision", "dagster", "dbt", "mlflow", "polars", "deltalake"]


def importers_of(distribution: str) -> set[str]:
    return {each.importer for each in imports() if each.imported.split(".")[0].startswith(distribution)}


def runs(each: Import) -> bool:
    return each.when != "typing"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for each in imports():
        if each.when == "module" and each.imported in graph and each.imported != each.importer:
            graph[each.importer].add(each.imported)
    assert sum(map(len, graph.values())) > 300, "the imports were not found"
    assert circles(graph) == []


def test_a_circle_of_modules_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == [["b", "c"]]


def test_no_rooms_import_each_other() -> None:
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for each in filter(runs, imports()):
        importer, imported = room_of(each.importer), room_of(each.imported)
        if importer and imported and importer != imported:
            graph[importer].add(imported)
    assert len(graph) > 5, "the imports were not found"
    assert circles(graph) == []


def test_only_defs_imports_dagster() -> None:
    allowed = {"shelf_assets.build", "shelf_assets.definitions"}
    outside = {name for name in importers_of("dagster") if room_of(name) != "defs"}
    assert outside <= allowed


def test_http_imports_no_other_room_than_lake_and_no_other_settings() -> None:
    imported = {each.imported for each in imports() if room_of(each.importer) == "http"}
    assert {room_of(name) for name in imported} - {None, "http"} == {"lake"}
    assert {name for name in imported if name.endswith(".settings")} == {"shelf_assets.http.settings"}


def test_nothing_below_the_edge_imports_the_whole_settings() -> None:
    importers = {each.importer for each in imports() if each.imported == "shelf_assets.settings"}
    below = {name for name in importers if room_of(name) not in ("cli", "defs")}
    assert below <= EDGE


@pytest.mark.parametrize("module", ["shelf_assets.intake.app", "shelf_assets.http.server"])
def test_a_server_imports_no_part_of_the_graph(module: str, tmp_path: Path) -> None:
    assert found_after_import(module, NOT_FOR_SERVERS, tmp_path) == []
