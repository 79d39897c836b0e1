"""URLs as messages and logs may show them."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"://[^@\s]+@")


def without_password(text: str) -> str:
    """The text with user and password of every URL in it masked."""
    return _CREDENTIALS.sub("://**********@", text)
