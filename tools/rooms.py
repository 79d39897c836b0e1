"""The rooms of the package, the folders directly in shelf_assets/: what belongs in each, and which rooms each imports."""

from __future__ import annotations

import ast
from collections import defaultdict

from tools.import_graph import PACKAGE, imports, modules, room_of


def rooms() -> list[str]:
    """Names of all rooms, sorted."""
    return sorted({room for name in modules() if (room := room_of(name))})


def purpose_of(room: str) -> str:
    """First sentence of the room's docstring."""
    docstring = ast.get_docstring(ast.parse(modules()[f"{PACKAGE}.{room}"].read_text(encoding="utf-8"))) or ""
    first_paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return first_paragraph.partition(". ")[0].removesuffix(".") + "."


def imported_rooms() -> dict[str, list[str]]:
    """For each room the rooms whose code it imports, sorted; imports for types alone do not count."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for each in imports():
        importer, imported = room_of(each.importer), room_of(each.imported)
        if each.when != "typing" and importer and imported and importer != imported:
            found[importer].add(imported)
    return {room: sorted(found[room]) for room in rooms()}
