"""The stored file contains the upright picture and nothing else of the upload."""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto, sanitize
from shelf_assets_tests.fuzz.promises import sanitized
from shelf_assets_tests.photos.validation import validate_bytes
from shelf_assets_tests.vision.pictures import (
    deep_heic,
    difference,
    encoded,
    faded,
    png,
    png16,
    png_chunk,
    scene,
    turned,
)

LIMITS = Limits()
CANARY = b"c4nary-of-the-shelf"
FORMATS = ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"]
MAKE, MODEL, ARTIST, GPS, MAKER_NOTE, EXIF = 0x010F, 0x0110, 0x013B, 0x8825, 0x927C, 0x8769
LATITUDE = (52.0, 31.0, 12.34)


def calm(width: int, height: int) -> Image.Image:
    """A scene without fine colours, which JPEG's chroma subsampling would change: differences are not the encoder's."""
    return scene(width // 8, height // 8).resize((width, height), Image.Resampling.BICUBIC)


def accepted(data: bytes, limits: Limits = LIMITS, jpeg_quality: int = 90) -> SanitizedPhoto:
    result = sanitized(data, limits, jpeg_quality)
    assert isinstance(result, SanitizedPhoto), result
    return result


def picture(result: SanitizedPhoto) -> np.ndarray:
    with Image.open(io.BytesIO(result.jpeg)) as image:
        return np.asarray(image)


def photographed(make: str = "Canon", model: str = "EOS 5", gps: bool = True) -> bytes:
    """EXIF as a camera writes it, with a canary in several tags and a thumbnail behind it."""
    tags = Image.Exif()
    tags[MAKE], tags[MODEL], tags[ARTIST] = make, model, CANARY.decode()
    if gps:
        degrees = tuple(TiffImagePlugin.IFDRational(round(part * 100), 100) for part in LATITUDE)
        tags[GPS] = {1: "N", 2: degrees, 3: "E", 4: degrees, 27: CANARY}
    tags[EXIF] = {MAKER_NOTE: CANARY}
    return tags.tobytes() + encoded(scene(16, 12), comment=CANARY)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sanitized_photo_is_upright(format_name: str, orientation: int) -> None:
    upright = calm(160, 120)
    result = accepted(turned(upright, orientation, format_name))
    assert (result.width_px, result.height_px) == (160, 120)
    assert difference(picture(result), np.asarray(upright)) < 4, "each other turn differs by forty and more"


@pytest.mark.parametrize("format_name", [*FORMATS, "GIF"])
def test_sanitized_photo_keeps_no_metadata(format_name: str) -> None:
    options: dict[str, object] = {"exif": photographed(), "xmp": b"<x:xmpmeta>" + CANARY + b"</x:xmpmeta>"}
    if format_name == "JPEG":
        options["comment"] = CANARY
    if format_name == "GIF":
        options = {"comment": CANARY}
    data = encoded(scene(160, 120), format_name, icc_profile=b"\0" * 40 + CANARY, **options)
    data += CANARY
    if format_name == "JPEG":
        start = data.rindex(b"\xff\xc0")  # the last one: the thumbnail has one as well
        for marker in (0xE2, 0xEB, 0xED, 0xEE, 0xFE):
            segment = bytes([0xFF, marker]) + (2 + len(CANARY)).to_bytes(2, "big") + CANARY
            data = data[:start] + segment + data[start:]
        data = data[:start] + CANARY + data[start:]  # between two segments
    if format_name == "PNG":
        end = data.index(b"IEND") - 4
        texts = [png_chunk(kind, b"Title\0" + CANARY) for kind in (b"tEXt", b"prVt", b"iTXt")]
        data = data[:end] + b"".join(texts) + data[end:]
    if format_name == "WEBP":
        data += b"ABCD" + len(CANARY).to_bytes(4, "little") + CANARY
    assert data.count(CANARY) >= 2
    result = accepted(data)
    assert CANARY not in result.jpeg
    assert CANARY.decode() not in repr(result.metadata)
    assert b"Canon" not in result.jpeg and b"Exif" not in result.jpeg and b"ICC" not in result.jpeg


def test_canary_search_finds_kept_metadata() -> None:
    """Proof that the search above works: a file that is only saved again keeps the canary."""
    with Image.open(io.BytesIO(encoded(scene(160, 120), comment=CANARY))) as image:
        assert CANARY in encoded(image, comment=image.info["comment"])


@pytest.mark.parametrize("format_name", FORMATS)
def test_gps_position_is_noted_and_removed(format_name: str) -> None:
    metadata = accepted(encoded(scene(64, 48), format_name, exif=photographed())).metadata
    assert metadata["had-gps"] == "yes"
    assert metadata["camera"] == "Canon EOS 5"
    assert not any(text in repr(metadata) for text in ("52", "31", "12.34", "1234"))
    assert set(metadata) == {"format", "orientation", "camera", "had-gps"}
    assert accepted(encoded(scene(64, 48), format_name, exif=photographed(gps=False))).metadata["had-gps"] == "no"
    assert accepted(encoded(scene(64, 48), format_name)).metadata["had-gps"] == "no"


@pytest.mark.parametrize(
    ("make", "model", "kept"),
    [
        ("Apple", "iPhone 15 Pro", "Apple iPhone 15 Pro"),
        ("  Apple\t", "\nX", "Apple X"),
        ("Evil\r\nX-Header: 1", "", "Evil X-Header 1"),
        ("<script>alert(1)</script>", "=HYPERLINK()", "script alert(1) /script HYPERLINK()"),
        ("'); DROP TABLE photos;--", "", ") DROP TABLE photos --"),
        ("Ω日本", "语", None),
        ("A" * 500, "B", "A" * 48),
        ("", "", None),
    ],
)
def test_camera_name_is_cleaned(make: str, model: str, kept: str | None) -> None:
    tags = Image.Exif()
    tags[MAKE], tags[MODEL] = make, model
    assert accepted(encoded(scene(64, 48), exif=tags.tobytes())).metadata.get("camera") == kept


def test_photo_with_broken_exif_is_accepted() -> None:
    whole = photographed()[6:]
    for broken in (
        whole[:30],
        b"II*\0" + b"\xff" * 400,
        b"MM\0*\0\0\0\x08\xff\xff" + bytes(90),
        b"II*\0\x08\0\0\0" * 60,
    ):
        metadata = accepted(encoded(scene(64, 48), exif=b"Exif\0\0" + broken)).metadata
        assert metadata["had-gps"] in ("unknown", "no")


def test_huge_exif_and_profile_are_removed() -> None:
    profile = CANARY + bytes(range(256)) * 40_000
    exif = photographed()[6:] + profile
    for data in (
        encoded(scene(160, 120), icc_profile=profile),
        encoded(scene(160, 120), "WEBP", icc_profile=profile, exif=b"Exif\0\0" + exif),
        png(1, 1, 8, 0, b"\0\0", png_chunk(b"iCCP", b"a\0\0" + zlib.compress(profile[:900_000]))),
        png(1, 1, 8, 0, b"\0\0", png_chunk(b"eXIf", exif)),
        encoded(scene(160, 120), "HEIF", icc_profile=profile, exif=b"Exif\0\0" + exif),
    ):
        result = accepted(data)
        assert CANARY not in result.jpeg and len(result.jpeg) < 20_000


def test_compressed_profile_bomb_is_refused() -> None:
    bomb = png(1, 1, 8, 0, b"\0\0", png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)))
    result = sanitized(bomb, LIMITS)
    assert isinstance(result, Refusal) and result.reason == "decode_error"


def test_zip_appended_to_a_photo_is_removed() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.js", "alert(document.cookie)")
    polyglot = encoded(scene(160, 120)) + archive.getvalue()
    with zipfile.ZipFile(io.BytesIO(polyglot)) as file:
        assert file.namelist() == ["evil.js"], "the photo is a valid ZIP as well"
    result = accepted(polyglot)
    assert not zipfile.is_zipfile(io.BytesIO(result.jpeg))
    assert b"PK" + b"\3\4" not in result.jpeg and b"evil.js" not in result.jpeg


def test_script_in_a_gif_is_removed() -> None:
    """GIF89a is a valid name in JavaScript, and width and height open a comment that the comment block closes."""
    script = b"*/=1;alert(document.cookie);/*"
    gif = encoded(scene(0x2A, 0x2F).quantize(16), "GIF", comment=script)
    assert script in gif
    result = accepted(gif)
    assert result.jpeg.startswith(b"\xff\xd8") and b"alert" not in result.jpeg


def test_colours_are_preserved() -> None:
    whole = calm(160, 120)
    see_through = whole.convert("RGBA")
    see_through.putalpha(faded(160, 120).getchannel("A"))
    with Image.open(io.BytesIO(encoded(whole.convert("CMYK"), quality=95))) as opened:
        cmyk = np.asarray(opened.convert("RGB"))
    grey = np.asarray(whole.convert("L").convert("RGB"))
    white = np.asarray(Image.alpha_composite(Image.new("RGBA", (160, 120), "white"), see_through).convert("RGB"))
    palette = whole.quantize(64)
    for name, data, expected in (
        ("cmyk", encoded(whole.convert("CMYK"), quality=95), cmyk),
        ("grey", encoded(whole.convert("L")), grey),
        ("16 bits", png16(whole), np.asarray(whole)),
        ("16 bits of grey", png16(whole.convert("L")), grey),
        ("see-through png", encoded(see_through, "PNG"), white),
        ("see-through webp", encoded(see_through, "WEBP", lossless=True), white),
        ("see-through heic", encoded(see_through, "HEIF", quality=95), white),
        ("see-through avif", encoded(see_through, "AVIF", quality=95), white),
        ("heic of 10 bits", deep_heic(whole), np.asarray(whole)),
        ("palette", encoded(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        ("gif", encoded(palette, "GIF"), np.asarray(palette.convert("RGB"))),
    ):
        assert difference(picture(accepted(data)), expected) < 8, f"{name}: each mistake is off by thirty and more"


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP", "HEIF", "AVIF"])
def test_animation_becomes_its_first_frame(format_name: str) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:], duration=50)
    assert np.abs(picture(accepted(data)).astype(int) - (255, 0, 0)).max() < 12


def test_jpeg_quality_setting_changes_the_size() -> None:
    photo = encoded(scene(640, 480), quality=98)
    low, high = (len(accepted(photo, jpeg_quality=quality).jpeg) for quality in (60, 95))
    assert high > 2 * low


def noisy(quality: int) -> bytes:
    return encoded(Image.effect_noise((320, 240), 90).convert("RGB"), quality=quality)


def test_sanitized_photo_stays_within_the_byte_limit() -> None:
    photo = noisy(quality=55)
    limits = Limits(max_bytes=len(photo))
    assert len(accepted(photo, jpeg_quality=95).jpeg) > 1.5 * limits.max_bytes
    kept = accepted(photo, limits, jpeg_quality=95).jpeg
    assert validate_bytes(kept, limits).ok
    assert len(kept) > 0.7 * limits.max_bytes, "the quality is not lower than necessary"


def test_photo_that_cannot_be_made_small_is_refused() -> None:
    photo = noisy(quality=30)
    for quality in (90, 50):
        result = sanitized(photo, Limits(max_bytes=len(photo)), quality)
        assert isinstance(result, Refusal) and result.reason == "too_large"
        assert "quality 50" in result.detail and f"{len(photo):,}" in result.detail


def test_quality_is_lowered_only_as_far_as_needed() -> None:
    photo = noisy(quality=30)
    smallest = len(accepted(photo, jpeg_quality=60).jpeg)
    assert len(accepted(photo, Limits(max_bytes=smallest), jpeg_quality=60).jpeg) == smallest
    assert len(accepted(photo, Limits(max_bytes=smallest - 1), jpeg_quality=60).jpeg) < smallest


def test_same_upload_gives_the_same_bytes() -> None:
    one, other = encoded(scene(160, 120)), encoded(scene(160, 120)) + b"\0"
    assert accepted(one) == accepted(one)
    assert accepted(one).jpeg == accepted(other).jpeg
    assert accepted(one).upload_sha256 != accepted(other).upload_sha256, "it is the digest of the uploaded bytes"


@pytest.mark.parametrize("format_name", [*FORMATS, "GIF"])
def test_truncated_file_is_refused_at_every_cut(format_name: str) -> None:
    data = encoded(scene(160, 120), format_name)
    for cut in range(20, len(data) - 3, max(1, len(data) // 60)):
        result = sanitized(data[:cut], LIMITS)
        assert isinstance(result, Refusal) and result.reason == "truncated", (cut, result)


def test_longest_allowed_side_can_be_stored_as_jpeg() -> None:
    """No JPEG has a side above 65,500 pixels, so no limit may be larger."""
    from pydantic import ValidationError

    from shelf_assets.photos.settings import PhotoSettings

    with pytest.raises(ValidationError):
        PhotoSettings(max_side_px=65_501)
    longest = PhotoSettings(max_side_px=65_500, max_aspect=100_000).limits
    strip = png(65_500, 8, 8, 0, (b"\0" + bytes(65_500)) * 8)
    assert isinstance(sanitize(strip, longest, 90), SanitizedPhoto)
