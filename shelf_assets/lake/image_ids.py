"""UUIDv7 (RFC 9562), the identity of uploaded photos. Callers supply timestamp and random bits."""

from __future__ import annotations

import uuid

RANDOM_BITS = 80


def uuid7(milliseconds: int, random_bits: int) -> str:
    """The UUID of a time (milliseconds since 1970 in UTC) and of `RANDOM_BITS` random bits, of which 74 are used."""
    value = (
        (milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random_bits >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random_bits & (1 << 62) - 1
    )
    return str(uuid.UUID(int=value))
