"""The package must not need tools/, which is not in the wheel."""

from __future__ import annotations

import ast
from pathlib import Path

import shelf_assets

PACKAGE = Path(shelf_assets.__file__).parent


def test_package_does_not_import_tools() -> None:
    importers = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] == "tools" for name in names):
                importers.append(str(path.relative_to(PACKAGE)))
    assert importers == []
