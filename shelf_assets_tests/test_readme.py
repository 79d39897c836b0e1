"""The examples of README.md run as printed, in a folder like the repository after `make demo`."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
import yaml

from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.marts.small_lake import SmallLake, write_three_days

README = (repo_root / "README.md").read_text(encoding="utf-8")
CONTRACT = repo_root / "dbt_bi" / "models" / "marts" / "daily_label_popularity.yml"


def example_of(library: str) -> str:
    found = re.search(rf"^\*\*{library}\*\*[^`]*```python\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert found, f"README.md has no example of {library}"
    return found[1]


def test_readme_begins_with_one_sentence_a_picture_and_two_commands() -> None:
    _, sentence, picture, commands = README.split("\n\n")[:4]
    assert sentence.count(". ") == 0 and sentence.endswith(".")
    assert picture.startswith("![")
    assert re.findall(r"^make \w+", commands, re.MULTILINE) == ["make demo", "make test"]


@pytest.mark.parametrize("library", ["DuckDB", "Polars"])
def test_an_example_of_a_query_has_at_most_five_lines(library: str) -> None:
    assert len([line for line in example_of(library).splitlines() if line]) <= 5


def test_the_example_of_polars_prints_labels_of_the_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_three_days(SmallLake((tmp_path / ".shelf" / "lake").as_uri()))
    monkeypatch.chdir(tmp_path)
    exec(compile(example_of("Polars"), "README.md", "exec"), {})
    assert "jar" in capsys.readouterr().out


def test_the_example_of_duckdb_prints_labels_of_the_marts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = yaml.safe_load(CONTRACT.read_text())["models"][0]["columns"]
    values = {"date": "DATE '2026-11-20'", "string": "'tin'", "bigint": "1", "double": "0.5"}
    (tmp_path / ".shelf").mkdir()
    with duckdb.connect(tmp_path / ".shelf" / "marts.duckdb") as marts:
        # The mart as its contract declares it, which dbt enforces.
        columns = ", ".join(f"{values[column['data_type']]} AS {column['name']}" for column in declared)
        marts.execute(f"CREATE TABLE daily_label_popularity AS SELECT {columns}")
    monkeypatch.chdir(tmp_path)
    exec(compile(example_of("DuckDB"), "README.md", "exec"), {})
    assert "tin" in capsys.readouterr().out
