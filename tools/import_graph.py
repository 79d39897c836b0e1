"""The imports among the modules of the package, read from their source without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

PACKAGE = "shelf_assets"
repo_root = Path(__file__).resolve().parents[1]
# When an import runs: with its module, when its function is called, or never (below `if TYPE_CHECKING`).
When = Literal["module", "call", "typing"]


@dataclass(frozen=True)
class Import:
    """`importer` imports the module `imported`, which may be of another distribution."""

    importer: str
    imported: str
    when: When


@cache
def modules() -> Mapping[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((repo_root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(repo_root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module."""
    return tuple(
        Import(name, imported, when)
        for name, path in modules().items()
        for imported, when in _imports_below(ast.parse(path.read_text()), "module")
    )


def room_of(module: str) -> str | None:
    """The top-level sub-package that a module is in; None for modules beside the rooms, and for other distributions."""
    parts = module.split(".")
    is_room = parts[0] == PACKAGE and len(parts) > 1 and (repo_root / PACKAGE / parts[1]).is_dir()
    return parts[1] if is_room else None


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that reach each other, each sorted."""
    reached = {node: _reachable(graph, node) for node in graph}
    groups = {
        tuple(sorted(other for other in reached[node] if node in reached.get(other, ())))
        for node in graph
        if node in reached[node]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph.get(waiting.pop(), ()):
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


def _imports_below(node: ast.AST, when: When) -> Iterator[tuple[str, When]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield from _imports_below(ast.Module([statement], []), "typing")
            for statement in child.orelse:
                yield from _imports_below(ast.Module([statement], []), when)
        elif isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, when
        elif isinstance(child, ast.ImportFrom):
            # Absolute, since ruff bans relative imports here; a name is a module if the package has one of that name.
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield (full if full in modules() else str(child.module)), when
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports_below(child, "typing" if when == "typing" else "call")
        else:
            yield from _imports_below(child, when)
