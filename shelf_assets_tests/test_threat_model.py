"""The threat model names a test for each promise, and each of these tests exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "threat-model.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def section(title: str) -> str:
    return DOCUMENT.read_text().split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(DOCUMENT.read_text()))))
def test_every_promise_names_an_existing_test(file: str, name: str) -> None:
    path = TESTS / file
    assert path.is_file(), f"there is no {file}"
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tests = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)]
    assert name in tests, f"{file} has no {name}"


def test_every_promise_names_a_proof() -> None:
    promises = rows("Promises")
    assert len(promises) > 10
    for promise, proof in promises:
        assert NAMED.search(proof), promise


def test_every_gap_has_an_answer() -> None:
    gaps = rows("Known gaps")
    assert len(gaps) > 5
    assert all(answer for _, answer in gaps)
