"""Rate limits as text, like 600/minute;20000/day: the form in which settings and keys hold them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limits import RateLimitItem


@lru_cache(1024)
def parse_limits(text: str) -> tuple[RateLimitItem, ...]:
    """Parse a text into its limits, each once. Raises ValueError."""
    from limits import parse_many  # 50 ms to import, and every process reads the settings

    try:
        return tuple(dict.fromkeys(parse_many(text)))
    except ValueError:
        raise ValueError(f"{text!r} is no limit: it must be like 600/minute or 600/minute;20000/day") from None
