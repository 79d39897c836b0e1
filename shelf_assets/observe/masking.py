"""Masks passwords in text for people. Imports nothing of this package."""

from __future__ import annotations

import re

_URL_PASSWORD = re.compile(r"://[^@\s]+@")


def without_password(text: str) -> str:
    """The text with user and password of every URL in it masked."""
    return _URL_PASSWORD.sub("://**********@", text)
