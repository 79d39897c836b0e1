"""Accepted and rejected files with their reasons; the validator returns a result for any bytes."""

from __future__ import annotations

import struct
import time
import zipfile
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import BY_REASON, RULES
from shelf_assets.vision.decode import MAX_DECODE_BYTES
from shelf_assets.vision.headers import MAX_JPEG_SCANS, MAX_SEGMENTS
from shelf_assets.vision.preprocess import Geometry, Undecodable, to_tensor
from shelf_assets.vision.reasons import Reason
from shelf_assets_tests.photos.validation import validate_bytes
from shelf_assets_tests.vision.pictures import encoded, header_only, png, png_chunk, scene, turned

LIMITS = Limits()
PHOTO = encoded(scene(160, 120))
PROGRESSIVE = encoded(scene(160, 120), progressive=True)
PNG_START = b"\x89PNG\r\n\x1a\n"
END = b"\xff\xd9"


def reason_of(data: bytes, limits: Limits = LIMITS) -> str | None:
    result = validate_bytes(data, limits)
    assert result.ok == (result.reason is None) == (result.detail is None)
    return result.reason


@pytest.mark.parametrize(
    ("format_name", "data"),
    [
        ("jpeg", PHOTO),
        ("jpeg", PROGRESSIVE),
        ("jpeg", encoded(scene(160, 120).convert("L"))),
        ("jpeg", encoded(scene(160, 120).convert("CMYK"))),
        ("png", encoded(scene(160, 120), "PNG")),
        ("webp", encoded(scene(160, 120), "WEBP")),
        ("webp", encoded(scene(160, 120), "WEBP", lossless=True)),
        ("webp", encoded(scene(160, 120).convert("RGBA"), "WEBP", exif=b"")),
        ("gif", encoded(scene(160, 120), "GIF")),
        ("heic", encoded(scene(160, 120), "HEIF")),
        ("heic", encoded(scene(160, 120).convert("RGBA"), "HEIF")),
        ("avif", encoded(scene(160, 120), "AVIF")),
        ("avif", encoded(scene(160, 120).convert("RGBA"), "AVIF")),
    ],
)
def test_good_photo_is_accepted_with_its_header(format_name: str, data: bytes) -> None:
    result = validate_bytes(data, LIMITS)
    assert result.ok, result.detail
    assert (result.format, result.width_px, result.height_px) == (format_name, 160, 120)
    assert result.exif_orientation == 1


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_read(format_name: str, orientation: int) -> None:
    result = validate_bytes(turned(scene(160, 120), orientation, format_name), LIMITS)
    assert result.ok, result.detail
    assert result.exif_orientation == orientation
    stored = (160, 120) if orientation < 5 else (120, 160)
    assert (result.width_px, result.height_px) == stored, "sizes are as stored, before EXIF orientation"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(orientation: int) -> None:
    """libheif turns the picture: the sizes are those of the upright picture, and the orientation is 1."""
    result = validate_bytes(turned(scene(160, 120), orientation, "HEIF"), LIMITS)
    assert result.ok, result.detail
    assert (result.exif_orientation, result.width_px, result.height_px) == (1, 160, 120)


@pytest.mark.parametrize("orientation", [0, 9, 77, 65535])
def test_invalid_orientation_is_treated_as_upright(orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    assert validate_bytes(encoded(scene(160, 120), exif=tags.tobytes()), LIMITS).exif_orientation == 1


@pytest.mark.parametrize(
    ("data", "reason", "format_name"),
    [
        (b"", Reason.empty, None),
        (b"bread, milk, eggs\n", Reason.not_an_image, None),
        (b"\0" * 4096, Reason.not_an_image, None),
        (b"<html><body>404</body></html>", Reason.not_an_image, None),
        (encoded(scene(32, 32), "BMP"), Reason.unsupported_format, "bmp"),
        (encoded(scene(32, 32), "TIFF"), Reason.unsupported_format, "tiff"),
        (encoded(scene(32, 32), "PDF"), Reason.unsupported_format, "pdf"),
        (encoded(scene(32, 32), "EPS"), Reason.unsupported_format, "eps"),
        (encoded(scene(32, 32), "PPM"), Reason.unsupported_format, "pnm"),
        (encoded(scene(32, 32), "ICO"), Reason.unsupported_format, "ico"),
        (b"8BPS\0\1" + bytes(64), Reason.unsupported_format, "psd"),
        (b"\0\0\0\x18ftypheic" + bytes(64), Reason.decode_error, "heic"),
        (b"\0\0\0\x1cftypavif" + bytes(64), Reason.decode_error, "avif"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', Reason.unsupported_format, "svg"),
        (b"\0\0\0\x18ftypmp42" + bytes(64), Reason.not_an_image, None),
    ],
)
def test_file_that_is_no_photo_is_refused_with_its_reason(data: bytes, reason: Reason, format_name: str | None) -> None:
    result = validate_bytes(data, LIMITS)
    assert (result.ok, result.reason, result.format) == (False, reason, format_name)


@pytest.mark.parametrize(
    ("format_name", "side_px", "data"),
    [
        ("png", 100_000, png(100_000, 100_000, 8, 2, b"")),
        ("png", 100_000, png(100_000, 100_000, 1, 0, bytes(20_000))),
        ("jpeg", 65_500, PHOTO.replace(struct.pack(">HH", 120, 160), struct.pack(">HH", 65_500, 65_500))),
        ("gif", 65_535, encoded(scene(32, 32), "GIF").replace(struct.pack("<HH", 32, 32), b"\xff" * 4)),
        (
            "webp",
            16_384,
            b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + bytes(16),
        ),
    ],
)
def test_decompression_bomb_is_refused_undecoded(format_name: str, side_px: int, data: bytes) -> None:
    begun = time.process_time()
    result = validate_bytes(data, LIMITS)
    assert result.reason == Reason.too_many_pixels
    assert (result.format, result.width_px, result.height_px) == (format_name, side_px, side_px)
    assert time.process_time() - begun < 0.5, "refused from the header, without decoding"
    with pytest.raises(Undecodable):
        to_tensor(data, Geometry())


def test_size_limits_are_exact() -> None:
    assert reason_of(PHOTO, Limits(max_bytes=len(PHOTO) - 1)) == Reason.too_large
    assert reason_of(PHOTO, Limits(max_bytes=len(PHOTO))) is None
    assert reason_of(PHOTO, Limits(max_pixels=160 * 120 - 1)) == Reason.too_many_pixels
    assert reason_of(PHOTO, Limits(max_pixels=160 * 120)) is None
    assert reason_of(PHOTO, Limits(max_side_px=159)) == Reason.too_many_pixels
    assert validate_bytes(PHOTO, Limits(max_bytes=10)).format == "jpeg", "the format is reported for rejected files too"


def test_generous_limits_keep_the_memory_bound() -> None:
    """The photo is within the limits of pixels, but decoding would take more memory than the fixed bound."""
    everything = Limits(max_bytes=10**12, max_pixels=10**12, max_side_px=10**9)
    wide = MAX_DECODE_BYTES // 8 // 8_000 + 1
    assert reason_of(png(wide, 8_000, 8, 2, b""), everything) == Reason.too_many_pixels
    webp = encoded(scene(32, 32), "WEBP", lossless=True)
    bits = struct.pack("<I", (9_000 - 1) | (9_000 - 1) << 14)
    assert reason_of(webp[:21] + bits + webp[25:], everything) == Reason.too_many_pixels


@pytest.mark.parametrize("data", [PHOTO, PROGRESSIVE], ids=["baseline", "progressive"])
def test_truncated_jpeg_is_refused_at_every_cut(data: bytes) -> None:
    first_scan = data.index(b"\xff\xda")
    cuts = {*range(2, 40), *np.linspace(40, len(data) - 1, 80).astype(int).tolist(), first_scan, len(data) - 1}
    for cut in sorted(cuts):
        result = validate_bytes(data[:cut], LIMITS)
        assert result.reason == Reason.truncated, f"cut at {cut} of {len(data)}: {result}"
        with pytest.raises(Undecodable) as caught:
            to_tensor(data[:cut], Geometry())
        assert caught.value.reason == Reason.truncated


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "GIF", "HEIF", "AVIF"])
def test_truncated_file_of_other_formats_is_refused_at_every_cut(format_name: str) -> None:
    data = encoded(scene(160, 120), format_name)
    cuts = [*range(20, 60), *np.linspace(60, len(data) - 3, 40).astype(int).tolist()]
    for cut in cuts:
        result = validate_bytes(data[:cut], LIMITS)
        assert result.reason == Reason.truncated, f"cut at {cut} of {len(data)}: {result}"


def test_jpeg_with_broken_codes_is_refused() -> None:
    scan = PHOTO.index(b"\xff\xda") + 14
    broken = PHOTO[: scan + 100] + bytes([0xFF, 0x00] * 60) + PHOTO[scan + 220 :]
    assert reason_of(broken) in (Reason.decode_error, Reason.truncated)


@pytest.mark.parametrize(
    ("marker", "word"), [(0xC3, "lossless"), (0xC9, "arithmetic"), (0xCA, "arithmetic"), (0xC5, "hierarchical")]
)
def test_jpeg_variant_unsupported_by_browsers_is_refused(marker: int, word: str) -> None:
    frame = PHOTO.index(b"\xff\xc0")
    result = validate_bytes(PHOTO[: frame + 1] + bytes([marker]) + PHOTO[frame + 2 :], LIMITS)
    assert result.reason == Reason.unsupported_format
    assert word in (result.detail or "")


def test_twelve_bit_jpeg_is_refused() -> None:
    frame = PHOTO.index(b"\xff\xc0")
    assert reason_of(PHOTO[: frame + 4] + b"\x0c" + PHOTO[frame + 5 :]) == Reason.unsupported_format


def test_photos_with_trailing_data_are_accepted() -> None:
    """Motion photos, multi-picture and HDR files of common phones all look like this; so does JPEG+ZIP, unread here."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.js", "alert(1)")
    for data in (PHOTO, PROGRESSIVE, encoded(scene(160, 120), "PNG"), encoded(scene(160, 120), "GIF")):
        assert reason_of(data + archive.getvalue()) is None
        assert reason_of(data + PHOTO) is None
        np.testing.assert_array_equal(to_tensor(data + PHOTO, Geometry()), to_tensor(data, Geometry()))


def test_jpeg_with_padding_between_segments_is_accepted() -> None:
    """As Photoshop and some phones write them; strict turbo will not read such a header."""
    table = PHOTO.index(b"\xff\xdb")
    padded = PHOTO[:table] + b"\0\0\0\0" + PHOTO[table:]
    result = validate_bytes(padded, LIMITS)
    assert result.ok, result.detail


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 72, b"\x20" * 3, b"\xff" * 5])
def test_jpeg_with_padding_before_its_end_is_accepted(padding: bytes) -> None:
    for photo in (PHOTO, PROGRESSIVE):
        padded = photo[:-2] + padding + photo[-2:]
        assert validate_bytes(padded, LIMITS).ok, validate_bytes(padded, LIMITS).detail
        np.testing.assert_array_equal(to_tensor(padded + photo, Geometry()), to_tensor(photo, Geometry()))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PNG_START + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) * 1, id="no end"),
        pytest.param(
            png(8, 8, 8, 2, bytes(25 * 8), png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))),
            id="a second header, larger than the first",
        ),
        pytest.param(png(0, 8, 8, 2, b""), id="no pixels"),
        pytest.param(PNG_START + png_chunk(b"tEXt", b"a\0b"), id="no header"),
        pytest.param(PHOTO.replace(struct.pack(">HH", 120, 160), struct.pack(">HH", 0, 160)), id="height to come"),
        pytest.param(b"RIFF\x20\0\0\0WEBPABCD" + bytes(40), id="webp without a picture"),
        pytest.param(b"GIF89a\x10\0\x10\0\0\0\0;", id="gif without a picture"),
        pytest.param(b"\xff\xd8\xff\xd9", id="jpeg without a picture"),
    ],
)
def test_file_with_false_header_is_refused(data: bytes) -> None:
    assert reason_of(data) in (Reason.decode_error, Reason.truncated, Reason.too_many_pixels)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xd8" + b"\xff" * 24_000_000, id="jpeg of fill bytes"),
        pytest.param(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 6_000_000, id="jpeg of empty segments"),
        pytest.param(b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\x01a\0" * 4_000_000, id="gif of comments"),
        pytest.param(b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\x01a" * 8_000_000, id="gif of one endless comment"),
        pytest.param(
            PNG_START + png_chunk(b"IHDR", bytes(13)) + png_chunk(b"tEXt", b"a\0b") * 1_500_000, id="png of texts"
        ),
        pytest.param(
            b"RIFF\xff\xff\xff\0WEBPVP8X\x0a" + bytes(13) + b"ABCD\0\0\0\0" * 3_000_000, id="webp of empty chunks"
        ),
        pytest.param(
            png(1, 1, 8, 0, b"\0\0", *[png_chunk(b"abCd", b"")] * (MAX_SEGMENTS - 10)), id="png just below the limit"
        ),
    ],
)
def test_flood_of_segments_is_validated_quickly(data: bytes) -> None:
    begun = time.process_time()
    validate_bytes(data, LIMITS)
    assert time.process_time() - begun < 4


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(b"ab" * 30_000 + END * 60_000, id="as much before the end as end marks"),
        pytest.param(b"ab" * 9 + END * 12_000_000, id="end marks"),
        pytest.param(bytes(12_000_000) + b"a" + END * 6_000_000, id="a long padding but for one byte"),
        pytest.param(b"ab" * 2_000 + (END + bytes(3_000)) * 8_000, id="paddings that are too short"),
    ],
)
def test_flood_of_end_markers_is_refused_quickly(behind: bytes) -> None:
    begun = time.process_time()
    for photo in (PHOTO, PROGRESSIVE):
        assert reason_of(photo[:-2] + behind + END) == Reason.decode_error
    assert time.process_time() - begun < 4


def test_end_marker_in_a_comment_does_not_hide_padding() -> None:
    second_scan = PROGRESSIVE.index(b"\xff\xda", PROGRESSIVE.index(b"\xff\xda") + 2)
    tables = PROGRESSIVE.rindex(b"\xff\xc4", 0, second_scan)
    comment = b"\xff\xfe\x00\x08" + END * 3
    photo = PROGRESSIVE[:tables] + comment + PROGRESSIVE[tables:-2]
    assert reason_of(photo + bytes(72) + END) is None
    assert reason_of(photo + b"ab" * 36 + END) == Reason.decode_error


def test_progressive_jpeg_with_too_many_scans_is_refused() -> None:
    """Each scan of a few bytes makes the decoder walk over all coefficients of the picture."""
    flat = encoded(Image.new("RGB", (4_000, 4_000), "teal"), progressive=True)
    last_scan = flat[flat.rindex(b"\xff\xda") : -2]
    result = validate_bytes(flat[:-2] + last_scan * MAX_JPEG_SCANS + flat[-2:], LIMITS)
    assert result.reason == Reason.too_many_pixels
    assert "scans" in (result.detail or "")
    # Bytes after the picture that look like scans do not count.
    assert reason_of(PROGRESSIVE + b"\xff\xda\0\x08" * 10_000) is None


def test_compressed_png_text_bomb_is_validated_quickly() -> None:
    import zlib

    bomb = zlib.compress(bytes(64 << 20), 9)
    for kind, prefix in ((b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")):
        data = png(1, 1, 8, 0, b"\0\0", *[png_chunk(kind, prefix + bomb)] * 40)
        begun = time.process_time()
        validate_bytes(data, LIMITS)
        assert time.process_time() - begun < 4, kind


def test_truncated_picture_is_refused_despite_pillow_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    gif = encoded(scene(160, 120), "GIF")
    assert reason_of(gif[: len(gif) // 2]) == Reason.decode_error


def test_header_only_validation_does_not_decode() -> None:
    broken = PHOTO[: len(PHOTO) // 2]
    assert validate_bytes(broken, LIMITS, decode=header_only).ok
    assert validate_bytes(png(100_000, 100_000, 8, 2, b""), LIMITS, decode=header_only).reason == Reason.too_many_pixels
    assert validate_bytes(encoded(scene(160, 120), "PNG")[:-30], LIMITS, decode=header_only).reason == Reason.truncated


def test_every_reason_has_a_sentence_and_a_4xx_status() -> None:
    assert set(Reason) <= set(BY_REASON)
    assert len(BY_REASON) == len(RULES), "two rules under one reason"
    for rule in RULES:
        assert rule.sentence.endswith(".")
        assert 400 <= rule.http_status < 500, "the request is at fault, not the server"


SIGNATURES = [b"", PHOTO[:2], PHOTO[:200], PNG_START, b"GIF89a", b"RIFF\xff\0\0\0WEBP", b"RIFF\xff\0\0\0WEBPVP8X"]


@given(st.sampled_from(SIGNATURES), st.binary(max_size=400))
def test_any_bytes_are_validated_without_raising(signature: bytes, rest: bytes) -> None:
    agree(signature + rest)


VALID = [
    PHOTO,
    PROGRESSIVE,
    turned(scene(48, 32), 6),
    encoded(scene(48, 32).convert("CMYK")),
    encoded(scene(48, 32), "PNG"),
    encoded(scene(48, 32).quantize(16), "PNG", transparency=3),
    encoded(scene(48, 32), "GIF"),
    encoded(scene(48, 32), "WEBP"),
    turned(scene(48, 32), 3, "WEBP", lossless=True),
    turned(scene(48, 32), 6, "HEIF"),
    turned(scene(48, 32), 6, "AVIF"),
]


@given(st.sampled_from(VALID), st.data())
def test_damaged_photos_are_validated_alike_by_both_decodes(valid: bytes, data: st.DataObject) -> None:
    damaged = bytearray(valid)
    places = st.integers(0, len(valid) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        damaged[place] = value
    cut = data.draw(st.sampled_from([len(damaged)] * 3 + [len(damaged) // 2, len(damaged) - 1]))
    agree(bytes(damaged[:cut]))


def agree(data: bytes) -> None:
    """Accepted bytes have a tensor, rejected bytes have a reason, and no other exception is raised."""
    result = validate_bytes(data, LIMITS)
    assert result.ok == (result.reason is None)
    for geometry in (Geometry(), Geometry(fit="pad", size_px=32), Geometry(fit="squash", size_px=8)):
        try:
            tensor = to_tensor(data, geometry)
        except Undecodable as refused:
            assert not result.ok, f"accepted, but {geometry} gives {refused}"
        else:
            assert tensor.shape == (3, geometry.size_px, geometry.size_px)
