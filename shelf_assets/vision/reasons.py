"""Why a photo is not accepted, or has no tensor: the reason codes, each with a sentence for people. No deciding."""

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

    @property
    def description(self) -> str:
        """One sentence for people."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    Reason.not_an_image: "The bytes carry no signature of any image format.",
    Reason.unsupported_format: "An image, or a document, in a format that is not taken.",
    Reason.truncated: "The file ends before its picture does.",
    Reason.too_large: "More bytes than a photo may have.",
    Reason.too_many_pixels: "The header asks for more pixels than one photo may cost to decode.",
    Reason.empty: "No bytes at all.",
    Reason.decode_error: "The decoder cannot make a picture of it.",
    Reason.gone: "Listed, but no longer there when it was read.",
}


class Undecodable(ValueError):
    """No picture can be made of these bytes; `reason` says why in the ledger's terms, `detail` in the decoder's."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
