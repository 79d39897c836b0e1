"""The scopes of API keys. An app that guards a route with a new scope adds its name here."""

from __future__ import annotations

from typing import Literal, get_args

Scope = Literal["upload", "read", "erase"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
