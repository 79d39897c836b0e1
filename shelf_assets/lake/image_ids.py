"""UUIDv7s (RFC 9562), by which photos are named: their bits, and no more. Whose time and chance they are say their makers."""

from __future__ import annotations

import uuid

RANDOM_BITS = 80


def uuid7(milliseconds: int, random_bits: int) -> str:
    """The UUID of a time, in milliseconds since 1970 in UTC, and of `RANDOM_BITS` bits, of which it keeps 74."""
    value = (
        (milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random_bits >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random_bits & (1 << 62) - 1
    )
    return str(uuid.UUID(int=value))
