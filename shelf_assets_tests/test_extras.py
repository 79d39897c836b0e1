"""Extras: the core or an extra declares every import of the package, and errors name the missing extra."""

from __future__ import annotations

import ast
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from typer.testing import CliRunner

from shelf_assets import extras
from shelf_assets.cli.app import app
from shelf_assets_tests.conftest import repo_root

PROJECT = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]
# Imported beside the package that brings it along: boto3 and limits[redis].
BROUGHT_BY = {"botocore": "boto3", "redis": "limits"}


def distribution(requirement: str) -> str:
    """The normalized name of a requirement."""
    name = requirement
    for mark in "[<>=;~! @":
        name = name.partition(mark)[0]
    return name.lower().replace("_", "-")


def imported_modules() -> set[str]:
    """Top-level names of all third-party imports in the package, also of those inside functions."""
    names: set[str] = set()
    for path in (repo_root / "shelf_assets").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"shelf_assets"}


providers = cache(packages_distributions)


def distributions_of(module: str) -> set[str]:
    """The normalized names of the installed distributions that provide a top-level module."""
    return {distribution(name) for name in providers().get(module, [module])}


def is_declared(module: str, declared: set[str]) -> bool:
    return bool(distributions_of(module) & declared) or BROUGHT_BY.get(module) in declared


def test_every_import_is_declared_by_the_core_or_an_extra() -> None:
    declared = {distribution(each) for group in (PROJECT["dependencies"], *OPTIONAL.values()) for each in group}
    assert [module for module in imported_modules() if not is_declared(module, declared)] == []


@pytest.mark.parametrize("extra", extras.MODULES)
def test_modules_of_an_extra_are_those_that_it_installs(extra: str) -> None:
    declared = {distribution(each) for each in OPTIONAL[extra]}
    assert [module for module in extras.MODULES[extra] if not is_declared(module, declared)] == []


def test_included_extras_are_those_that_pyproject_includes() -> None:
    def included(extra: str) -> set[str]:
        own = [each for each in OPTIONAL[extra] if distribution(each) == "shelf-assets"]
        direct = {name for each in own for name in each.partition("[")[2].rstrip("]").split(",")}
        return direct.union(*map(included, direct))

    for extra in extras.MODULES:
        assert set(extras.INCLUDED.get(extra, ())) == included(extra)


def test_all_holds_every_extra() -> None:
    [everything] = OPTIONAL["all"]
    assert set(everything.partition("[")[2].rstrip("]").split(",")) == set(OPTIONAL) - {"all"}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Modules that are treated as not installed; tests add names."""
    absent: set[str] = set()
    find = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in absent else find(name))
    return absent


def test_installed_extras_are_not_refused(without: set[str]) -> None:
    extras.require_extras("the graph", "graph", "models")
    assert extras.is_installed("graph")


def test_a_missing_package_of_an_included_extra_counts(without: set[str]) -> None:
    without.add("polars")
    assert not extras.is_installed("graph")
    with pytest.raises(extras.MissingExtra, match=r"the graph needs polars, .*pip install 'shelf-assets\[graph\]'"):
        extras.require_extras("the graph", "graph")


def test_only_missing_extras_are_named(without: set[str]) -> None:
    without |= {"torch", "timm"}
    with pytest.raises(extras.MissingExtra, match=r"timm and 1 more packages?, .*\[models\]'"):
        extras.require_extras("shelf demo", "graph", "models")


@pytest.mark.parametrize(
    ("verb", "module", "extra"),
    [
        (["run", "--day", "2026-11-20"], "dagster", "graph"),
        (["demo"], "torch", "graph,models"),
        (["calibrate", "--day", "2026-11-20"], "nncf", "calibrate"),
        (["serve", "intake"], "fastapi", "api"),
    ],
)
def test_a_verb_names_the_extra_that_it_lacks(without: set[str], verb: list[str], module: str, extra: str) -> None:
    without.add(module)
    if "," in extra:
        without.add("dagster")
    done = CliRunner().invoke(app, verb)
    assert done.exit_code == 2
    assert f"pip install 'shelf-assets[{extra}]'" in done.output
