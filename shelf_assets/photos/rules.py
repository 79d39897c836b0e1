"""Rules of acceptance in the order in which they are checked: a check, its reason code, HTTP status and message each.

A new rule is a function and its entry in RULES. Cheap checks come first: a photo whose header breaks a rule is not decoded.
`validator` runs the checks and makes the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shelf_assets.photos.limits import Limits
from shelf_assets.vision.decode import decoded, require_affordable, require_complete
from shelf_assets.vision.formats import ACCEPTED_FORMATS, accepted_format, sniff
from shelf_assets.vision.headers import Header, read_header

Decode = Callable[[bytes, Header], Any]


def check_decodable(data: bytes, header: Header) -> None:
    """Decode at the smallest scale, which reads all entropy-coded data of a JPEG and makes 1/64 of its pixels."""
    with decoded(data, header, shrink=8):
        pass


@dataclass
class Photo:
    """Bytes under validation, with everything that checks have computed from them; each is computed once, on first use."""

    data: bytes
    decode: Decode = field(default=check_decodable)

    @cached_property
    def format(self) -> str:
        return accepted_format(self.data)

    @cached_property
    def header(self) -> Header:
        return read_header(self.data, self.format)

    @cached_property
    def decoded(self) -> Any:
        """The result of `decode`. Raises Undecodable for bytes that hold no picture."""
        return self.decode(self.data, self.header)

    @property
    def size_text(self) -> str:
        return f"{self.header.width_px:,} × {self.header.height_px:,} pixels"


# Returns the detail of a violation, or None. A check may raise Undecodable, which carries its own reason.
Check = Callable[[Photo, Limits], str | None]


def is_empty(photo: Photo, limits: Limits) -> str | None:
    return None if photo.data else "0 bytes"


def has_too_many_bytes(photo: Photo, limits: Limits) -> str | None:
    size = len(photo.data)
    return f"{size:,} bytes, more than {limits.max_bytes:,}" if size > limits.max_bytes else None


def has_no_signature(photo: Photo, limits: Limits) -> str | None:
    return None if sniff(photo.data) else f"starts with {photo.data[:8].hex(' ')}"


def is_of_another_format(photo: Photo, limits: Limits) -> str | None:
    accepted = [name for name in ACCEPTED_FORMATS if name in limits.formats]
    name = sniff(photo.data)
    return None if name in accepted else f"{name}; accepted formats are {', '.join(accepted)}"


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
    """`check` is None for violations that are found elsewhere: by the reader of the object or by the decoder pool."""

    reason: str
    http_status: int
    sentence: str
    check: Check | None = None


RULES: tuple[Rule, ...] = (
    Rule("empty", 422, "The file is empty.", is_empty),
    Rule("too_large", 413, "The file is larger than the limit.", has_too_many_bytes),
    Rule("not_an_image", 415, "The file is not an image of any known format.", has_no_signature),
    Rule("unsupported_format", 415, "The file has a format that is not accepted.", is_of_another_format),
    Rule("too_many_pixels", 413, "The picture has more pixels than the limit.", has_too_many_pixels),
    Rule("odd_shape", 422, "The picture is too narrow to show a product.", has_an_odd_shape),
    Rule("too_many_frames", 413, "The file is an animation with more frames than the limit.", has_too_many_frames),
    Rule("truncated", 422, "The file ends before the end of its picture.", ends_early),
    Rule("decode_error", 422, "The file cannot be decoded.", cannot_be_decoded),
    Rule("adult", 422, "The picture was classified as adult content.", shows_an_adult_scene),
    Rule("decoder_died", 422, "Decoding the file crashed the decoder or took more memory than the limit."),
    Rule("too_slow", 422, "Decoding the file took longer than the limit."),
    Rule("no_owner", 422, "The file was uploaded without a form, so it has no owner."),
    Rule("unsupported_key", 422, "Its object key has empty or dotted segments or control characters."),
    Rule("gone", 404, "The object was deleted or changed before it was read."),
)

BY_REASON = {rule.reason: rule for rule in RULES}
