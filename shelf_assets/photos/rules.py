"""What is refused, in the order of asking: each rule is a named question, its reason code, HTTP status and sentence.

Adding a rule is a function and its entry in RULES. Cheap questions come first: nothing is decoded of what its header
condemns. How the questions are asked, and what is made of the answers, is in `validator`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shelf_assets.photos.limits import Limits
from shelf_assets.vision.decode import decoded, require_affordable, require_complete
from shelf_assets.vision.formats import TAKEN, sniff, taken_format
from shelf_assets.vision.headers import Header, read_header

Decode = Callable[[bytes, Header], Any]


def prove(data: bytes, header: Header) -> None:
    """Decode at the smallest scale: all of a JPEG's entropy-coded data is read, a 64th of its pixels made."""
    with decoded(data, header, shrink=8):
        pass


@dataclass
class Photo:
    """Bytes on trial, and what was found in them: each thing once, by the rule that asks for it first."""

    data: bytes
    decode: Decode = field(default=prove)

    @cached_property
    def format(self) -> str:
        return taken_format(self.data)

    @cached_property
    def header(self) -> Header:
        return read_header(self.data, self.format)

    @cached_property
    def decoded(self) -> Any:
        """Whatever `decode` makes of it: the proof that a picture is in these bytes."""
        return self.decode(self.data, self.header)

    @property
    def size_text(self) -> str:
        return f"{self.header.width_px:,} × {self.header.height_px:,} pixels"


# What is wrong, for people; None if nothing is. A question may raise Undecodable, with the reason of what it fell over.
Question = Callable[[Photo, Limits], str | None]


def is_empty(photo: Photo, limits: Limits) -> str | None:
    return None if photo.data else "0 bytes"


def has_too_many_bytes(photo: Photo, limits: Limits) -> str | None:
    size = len(photo.data)
    return f"{size:,} bytes, more than {limits.max_bytes:,}" if size > limits.max_bytes else None


def has_no_signature(photo: Photo, limits: Limits) -> str | None:
    return None if sniff(photo.data) else f"starts with {photo.data[:8].hex(' ')}"


def is_of_another_format(photo: Photo, limits: Limits) -> str | None:
    taken = [name for name in TAKEN if name in limits.formats]
    name = sniff(photo.data)
    return None if name in taken else f"{name}; taken are {', '.join(taken)}"


def has_too_many_pixels(photo: Photo, limits: Limits) -> str | None:
    if photo.header.pixels > limits.max_pixels:
        return f"{photo.size_text}, more than {limits.max_pixels:,} in all"
    if max(photo.header.width_px, photo.header.height_px) > limits.max_side_px:
        return f"{photo.size_text}, more than {limits.max_side_px:,} along one side"
    require_affordable(photo.header)
    return None


def has_an_odd_shape(photo: Photo, limits: Limits) -> str | None:
    shorter, longer = sorted((photo.header.width_px, photo.header.height_px))
    if shorter < limits.min_side_px:
        return f"{photo.size_text}, less than {limits.min_side_px:,} along one side"
    if longer > shorter * limits.max_aspect:
        return f"{photo.size_text}, one side more than {limits.max_aspect:g} times the other"
    return None


def has_too_many_frames(photo: Photo, limits: Limits) -> str | None:
    frames = photo.header.frames
    return f"{frames:,} frames, more than {limits.max_frames:,}" if frames > limits.max_frames else None


def ends_early(photo: Photo, limits: Limits) -> str | None:
    require_complete(photo.header)
    return None


def cannot_be_decoded(photo: Photo, limits: Limits) -> str | None:
    _ = photo.decoded
    return None


def shows_an_adult_scene(photo: Photo, limits: Limits) -> str | None:
    if limits.max_adult_score is None:
        return None
    from shelf_assets.photos.moderation import adult_score

    score = adult_score(photo.decoded)
    return f"scored {score:.2f}, the limit is {limits.max_adult_score:.2f}" if score >= limits.max_adult_score else None


@dataclass(frozen=True)
class Rule:
    """`question` is None for what is found beside the bytes: by who reads them, or runs the decoder."""

    reason: str
    http_status: int
    sentence: str
    question: Question | None = None


RULES: tuple[Rule, ...] = (
    Rule("empty", 422, "No bytes at all.", is_empty),
    Rule("too_large", 413, "More bytes than a photo may have.", has_too_many_bytes),
    Rule("not_an_image", 415, "The bytes carry no signature of any image format.", has_no_signature),
    Rule("unsupported_format", 415, "An image, or a document, in a format that is not taken.", is_of_another_format),
    Rule(
        "too_many_pixels",
        413,
        "The header asks for more pixels than one photo may cost to decode.",
        has_too_many_pixels,
    ),
    Rule("odd_shape", 422, "Too narrow to show a product.", has_an_odd_shape),
    Rule("too_many_frames", 413, "A film, not a photo.", has_too_many_frames),
    Rule("truncated", 422, "The file ends before its picture does.", ends_early),
    Rule("decode_error", 422, "The decoder cannot make a picture of it.", cannot_be_decoded),
    Rule("adult", 422, "The picture is not fit for a shop's window.", shows_an_adult_scene),
    Rule("decoder_died", 422, "Decoding it took the decoder down, or more memory than one photo may cost."),
    Rule("too_slow", 422, "Decoding it takes longer than one photo may cost."),
    Rule("no_owner", 422, "It came in without the form that says whose it is."),
    Rule("unsupported_key", 422, "Its object key has empty or dotted segments or control characters."),
    Rule("gone", 404, "Listed, but no longer there when it was read."),
)

BY_REASON = {rule.reason: rule for rule in RULES}
