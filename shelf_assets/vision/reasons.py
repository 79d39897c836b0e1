"""Reason codes of decoding: why bytes cannot be turned into a picture. `photos.rules` has a message for each."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Codes as stored in `raw_images.reason`. Codes may be added but not changed, because old rows contain them."""

    not_an_image = "not_an_image"
    unsupported_format = "unsupported_format"
    truncated = "truncated"
    too_large = "too_large"
    too_many_pixels = "too_many_pixels"
    empty = "empty"
    decode_error = "decode_error"
    gone = "gone"


class Undecodable(ValueError):
    """The bytes cannot be turned into a picture. `reason` is a code, `detail` the decoder's explanation."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
