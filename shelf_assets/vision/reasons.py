"""Why no picture can be made of some bytes: the reason codes of decoding. What people are told of each is in `intake.rules`."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Codes as stored in `raw_images.reason`; append only, since old rows keep theirs."""

    not_an_image = "not_an_image"
    unsupported_format = "unsupported_format"
    truncated = "truncated"
    too_large = "too_large"
    too_many_pixels = "too_many_pixels"
    empty = "empty"
    decode_error = "decode_error"
    gone = "gone"


class Undecodable(ValueError):
    """No picture can be made of these bytes; `reason` says why in the ledger's terms, `detail` in the decoder's."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
