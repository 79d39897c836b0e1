"""Pixels of each format are decoded as stored, in RGB on white, also in many threads at once."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelf_assets.vision import decode
from shelf_assets.vision.decode import decode_cost, decoded, shrink_for
from shelf_assets.vision.formats import sniff
from shelf_assets.vision.headers import Header, read_header
from shelf_assets.vision.reasons import Undecodable
from shelf_assets_tests.vision.pictures import deep_heic, difference, encoded, faded, png, png16, png_chunk, scene


def pixels(data: bytes, shrink: int = 1) -> np.ndarray:
    header = read_header(data, sniff(data) or "")
    with decoded(data, header, shrink) as picture:
        return picture.copy()


def on_white(image: Image.Image) -> np.ndarray:
    """The definition of compositing: alpha × colour + (1 - alpha) × white."""
    samples = np.asarray(image.convert("RGBA"), np.float64)
    alpha = samples[..., 3:] / 255
    return np.rint(samples[..., :3] * alpha + 255 * (1 - alpha))


@pytest.mark.parametrize(
    ("side_px", "factor"),
    [(1, 1), (447, 1), (895, 1), (896, 2), (1791, 2), (1792, 4), (3583, 4), (3584, 8), (65_535, 8)],
)
def test_shrink_leaves_at_least_twice_the_target(side_px: int, factor: int) -> None:
    assert shrink_for(side_px, 448) == factor


def test_decode_cost_counts_pixels_and_coefficients() -> None:
    baseline = Header("jpeg", 4000, 3000)
    assert decode_cost(baseline, 1) == 36_000_000
    assert decode_cost(baseline, 8) == 36_000_000 // 64
    progressive = Header("jpeg", 4000, 3000, coefficient_bytes_per_px=3.0)
    assert decode_cost(progressive, 8) - decode_cost(baseline, 8) == 36_000_000, "coefficients are kept at full size"
    assert decode_cost(Header("png", 4000, 3000), 8) == decode_cost(Header("png", 4000, 3000), 1)


# Runs in a process of its own, in which every large allocation is a mapping of its own: reused memory would hide the peak.
MEASURE = """
import json, sys
from pathlib import Path
from shelf_assets.vision.decode import decode_cost, decoded
from shelf_assets.vision.formats import sniff
from shelf_assets.vision.headers import read_header

def memory_bytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(field)))

for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    header = read_header(data, sniff(data))
    for turn in ("imports", "measured"):
        Path("/proc/self/clear_refs").write_text("5")
        before = memory_bytes("VmRSS")
        with decoded(data, header, 1):
            pass
    held = memory_bytes("VmHWM") - before
    print(json.dumps([path.name, held / header.pixels, decode_cost(header, 1) / header.pixels]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux resets a process's peak of memory")
def test_decode_memory_stays_within_its_cost(tmp_path: Path) -> None:
    opaque, see_through = scene(2_000, 1_500), faded(2_000, 1_500)
    cmyk = encoded(opaque.convert("CMYK"))
    photos = {
        "jpeg": encoded(opaque),
        "jpeg progressive": encoded(opaque, progressive=True, subsampling=0),
        "jpeg cmyk": cmyk,
        "png": encoded(opaque, "PNG", compress_level=1),
        "png alpha": encoded(see_through, "PNG", compress_level=1),
        "png grey alpha": encoded(see_through.convert("LA"), "PNG", compress_level=1),
        "png key": encoded(opaque, "PNG", compress_level=1, transparency=(1, 2, 3)),
        "png 16": png16(opaque),
        "gif": encoded(opaque.quantize(64), "GIF", transparency=3),
        "gif frames": encoded(opaque.quantize(64), "GIF", save_all=True, append_images=[opaque.rotate(180)]),
        "webp": encoded(opaque, "WEBP", method=0),
        "webp lossless": encoded(see_through, "WEBP", lossless=True, method=0, quality=0),
        "heic": encoded(opaque, "HEIF", quality=50, chroma=444),
        "heic alpha": encoded(see_through, "HEIF", quality=50),
        "heic deep": deep_heic(see_through),
        "heic deep 444": deep_heic(see_through, chroma=444),
        "avif": encoded(opaque, "AVIF", speed=10, subsampling="4:4:4"),
        "avif alpha": encoded(see_through, "AVIF", speed=10, subsampling="4:4:4"),
    }
    for name, data in photos.items():
        (tmp_path / name).write_bytes(data)
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(rows) == len(photos)
    over = [row for row in rows if row[1] > row[2] + 1.0]
    assert not over, "measured and estimated bytes per pixel"
    assert min(row[1] for row in rows) > 2, "nothing was measured"


def test_header_gives_scans_and_coefficients_of_progressive_jpegs() -> None:
    for subsampling, expected in ((0, 6.0), (1, 4.0), (2, 3.0)):
        header = read_header(encoded(scene(64, 48), progressive=True, subsampling=subsampling), "jpeg")
        assert header.coefficient_bytes_per_px == expected
        assert 5 <= header.scans <= 15
    assert read_header(encoded(scene(64, 48)), "jpeg").coefficient_bytes_per_px == 0


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_jpeg_pixels_equal_pillow(options: dict[str, object]) -> None:
    data = encoded(scene(203, 151), **options)
    with Image.open(io.BytesIO(data)) as image:
        assert np.abs(pixels(data).astype(int) - np.asarray(image)).max() <= 1


def test_grey_photo_stays_grey() -> None:
    data = encoded(scene(60, 40).convert("L"))
    picture = pixels(data)
    assert (picture == picture[..., :1]).all()
    for format_name in ("PNG", "WEBP"):
        grey = scene(60, 40).convert("L")
        np.testing.assert_array_equal(
            pixels(encoded(grey, format_name, lossless=True))[..., 1], np.asarray(grey), err_msg=format_name
        )


def test_cmyk_photo_keeps_its_colours() -> None:
    image = Image.new("CMYK", (64, 48), (0, 255, 255, 0))  # full magenta and yellow: red
    red = pixels(encoded(image, quality=95))
    assert (np.abs(red.astype(int) - (255, 0, 0)) < 6).all()
    data = encoded(scene(160, 120).convert("CMYK"), quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        assert difference(pixels(data), np.asarray(opened.convert("RGB"))) < 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bit_png_is_scaled_once(mode: str) -> None:
    image = scene(61, 43).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(pixels(png16(image)), expected)


def test_sixteen_bit_transparency_becomes_white() -> None:
    rows = b"".join(b"\0" + bytes([0x12, 0x34] * 4 + [0xAB, 0xCD] * 4) for _ in range(8))
    picture = pixels(png(8, 8, 16, 0, rows, png_chunk(b"tRNS", b"\x12\x34")))
    assert (picture[:, :4] == 255).all()
    assert (picture[:, 4:] == 0xAB).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
def test_transparency_is_blended_on_white(mode: str, format_name: str) -> None:
    image = faded(60, 40).convert(mode)
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    picture = pixels(encoded(image, format_name, **options))
    assert np.abs(picture - on_white(image)).max() <= 1


def test_hidden_colours_do_not_bleed_when_shrunk() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 31, 64))
    picture = pixels(encoded(image, "PNG"), shrink=2)
    edge = picture[:, 15]  # half blue, half nothing on white
    assert (np.abs(edge.astype(int) - (128, 128, 255)) <= 1).all(), edge[0]


def test_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (40, 20), 0)
    image.putpalette([200, 10, 10, 10, 200, 10] + [0] * 762)
    image.paste(1, (0, 0, 20, 20))
    for format_name in ("PNG", "GIF"):
        picture = pixels(encoded(image, format_name, transparency=1))
        assert (picture[:, :20] == 255).all(), format_name
        assert (picture[:, 20:] == (200, 10, 10)).all(), format_name


def test_colour_key_becomes_white() -> None:
    image = scene(40, 20)
    image.paste((1, 2, 3), (0, 0, 20, 20))
    picture = pixels(encoded(image, "PNG", transparency=(1, 2, 3)))
    assert (picture[:, :20] == 255).all()


def test_one_bit_png_is_scaled_to_black_and_white() -> None:
    image = scene(40, 20).convert("1")
    np.testing.assert_array_equal(pixels(encoded(image, "PNG"))[..., 0], np.asarray(image.convert("L")))


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation_is_decoded(format_name: str) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:], duration=50, **options)
    assert (pixels(data) == (255, 0, 0)).all()


@pytest.mark.parametrize("shrink", [2, 4, 8])
@pytest.mark.parametrize("size", [(640, 480), (643, 485)])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_shrinking_on_load_equals_averaging(shrink: int, size: tuple[int, int], format_name: str) -> None:
    data = encoded(scene(*size), format_name)
    with Image.open(io.BytesIO(data)) as image:
        averaged = np.asarray(image.convert("RGB").reduce(shrink))
    picture = pixels(data, shrink)
    assert picture.shape == averaged.shape
    # At 1/2 turbo uses a JPEG's subsampled colour planes as they are; the full path upsamples and averages them.
    assert difference(picture, averaged) < 2.5
    assert difference(picture, averaged) < difference(picture[:, 1:], averaged[:, :-1]) / 2, "a shift by one pixel"


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_pillow_fallback_gives_the_same_picture(shrink: int) -> None:
    """JPEGs that turbo rejects are decoded by Pillow and must have the same pixels."""
    data = encoded(scene(643, 485))
    table = data.index(b"\xff\xdb")
    odd = data[:table] + b"\0\0\0" + data[table:]
    assert np.abs(pixels(odd, shrink).astype(int) - pixels(data, shrink)).max() <= 2


def test_heic_larger_than_its_header_is_undecodable() -> None:
    """libheif uses the size of the coded picture, not that of the box which was checked against the limit."""
    data = encoded(scene(640, 480), "HEIF")
    size = struct.pack(">4sIII", b"ispe", 0, 640, 480)
    assert size in data
    with pytest.raises(Undecodable):
        pixels(data.replace(size, struct.pack(">4sIII", b"ispe", 0, 64, 48)))


def test_threads_decode_independently() -> None:
    photos = [encoded(scene(300 + 16 * number, 200)) for number in range(6)]
    alone = [pixels(data) for data in photos]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(pixels, photos * 8))
    for number, picture in enumerate(together):
        np.testing.assert_array_equal(picture, alone[number % 6])


def test_big_photos_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BIG_BYTES", 1_000)
    data, inside, most, lock = encoded(scene(64, 48), "PNG"), 0, 0, threading.Lock()
    header = read_header(data, "png")

    def one(_: int) -> None:
        nonlocal inside, most
        with decoded(data, header, 1):
            with lock:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.01)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(8)))
    assert most == 1


def test_failed_decode_releases_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BIG_BYTES", 0)
    data = encoded(scene(64, 48))
    header = read_header(data, "jpeg")
    for _ in range(3):
        with pytest.raises(ValueError, match="truncated"), decoded(data[:-100], header, 1):
            pass
        with decoded(data, header, 1) as picture:
            assert picture.shape == (48, 64, 3)
