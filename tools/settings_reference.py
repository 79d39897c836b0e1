"""Write docs/settings.md, the reference of all settings, from their declarations: `python -m tools.settings_reference`."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from shelf_assets.settings import FORMER_NAMES, Leaf, Settings, leaves

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

_HEAD = """# Settings

Written by `make docs` from the declarations in the package: change those, not this page.

Settings are environment variables. They are read once, when a process starts; `shelf config` prints the values in effect, with
secrets masked. An unknown `SHELF_` variable and a wrong value stop the process with a message that names the variable and the
allowed values. Lists and tables are written as JSON: `SHELF_PHOTOS_FORMATS='["jpeg", "png"]'`. In Python,
`load_settings(photos__max_bytes=…)` sets the same values; the part before `__` is the group.
"""
_TITLES = {
    "": "General",
    "lake": "Lake",
    "lake.s3": "Access to S3",
    "photos": "Photos",
    "vision": "Tensors",
    "models": "Models",
    "pipeline": "Daily work",
    "bi": "Marts",
    "tracking": "MLflow",
    "http": "HTTP servers",
    "intake": "Uploads",
    "dagster": "Dagster",
}
_TYPE_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
}
# Annotations of pydantic's constraints, and how a reader writes them.
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as Markdown: one table for each group, and the former names."""
    parts = [_HEAD]
    for group, members in groupby(leaves(), key=lambda leaf: ".".join(leaf.path[:-1])):
        rows = [
            (_code(*leaf.variables), _default(leaf), _allowed(leaf), leaf.field.description or "") for leaf in members
        ]
        parts += [f"## {_TITLES.get(group, group)}\n", _table(("variable", "default", "allowed", "meaning"), rows)]
    former = [(_code(old), _code(new)) for old, new in FORMER_NAMES.items()]
    parts += ["## Former names\n\nA former name stops the process at start, and the message gives the new one.\n"]
    return "\n".join([*parts, _table(("former", "now"), former)])


def _default(leaf: Leaf) -> str:
    value = leaf.field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ("", Path()):
        return _default_below_home(leaf)
    if isinstance(value, bool):
        return _code(str(value).lower())
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_code(each)}" for name, each in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(_code, value))
    return _code(f"{value:,}".replace(",", "_") if type(value) is int and value >= 10_000 else value)


def _default_below_home(leaf: Leaf) -> str:
    """The default that the settings derive from their home; empty for other settings."""
    home = Path("/home-of-the-settings")
    value = str(leaf.value_in(Settings(home=home)))
    return _code(value.replace(str(home), "<home>")) if str(home) in value else ""


def _allowed(leaf: Leaf) -> str:
    bounds = [
        f"{sign} {_number(limit)}"
        for each in leaf.field.metadata
        for name, sign in _BOUNDS.items()
        if (limit := getattr(each, name, None)) is not None
    ]
    return ", ".join([_type_name(leaf.field.annotation), *bounds])


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(map(_code, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(each) for each in arguments if each is not type(None)) + ", or unset"
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"table of {_type_name(arguments[1])}s"
    return _TYPE_NAMES[annotation]


def _number(limit: float) -> str:
    return f"{limit:,}"


def _code(*values: object) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(_lines(head, rows)) + "\n"


def _lines(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield _line(names)
    yield "|" + "---|" * len(names)
    yield from map(_line, rows)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(cell: str) -> str:
    # Outside of code, Markdown would take <home> for HTML.
    texts = cell.replace("|", "\\|").split("`")
    return "`".join(text if number % 2 else text.replace("<", "\\<") for number, text in enumerate(texts))


if __name__ == "__main__":
    main()
