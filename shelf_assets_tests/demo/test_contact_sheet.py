"""The contact sheet: it is a valid picture, shows photos upright, stays small, and shows the reason of a rejected photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from shelf_assets.demo.contact_sheet import SheetPhoto, contact_sheet
from shelf_assets.demo.lettering import shortened, text_width_px, write
from shelf_assets.demo.shipped_photos import shipped_photos
from tools.drawn_products.defects import claims_too_many_pixels
from tools.drawn_products.draw import encode

RED, BLUE = (220, 20, 20), (20, 20, 220)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        return sheet.convert("RGB")


def _half_red_half_blue(orientation: int = 1) -> bytes:
    picture = Image.new("RGB", (208, 156), BLUE)
    picture.paste(RED, (0, 0, 208, 78))
    return encode(picture, "JPEG", 95, orientation)


def _near(pixel: object, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - colour).max() < 40)


def test_48_photos_make_one_readable_png_under_a_megabyte_and_a_half(tmp_path: Path) -> None:
    photos = [SheetPhoto(data, ["banana 92%", "lemon 3%"], name) for name, data in shipped_photos()[:48]]
    path = contact_sheet(photos, tmp_path / "new" / "sheet.png", "A day")
    assert path == tmp_path / "new" / "sheet.png"
    assert path.stat().st_size < 1_500_000
    sheet = _open(path)
    assert sheet.width == 1402 and 1800 < sheet.height < 2200


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, orientation: int) -> None:
    sheet = _open(contact_sheet([SheetPhoto(_half_red_half_blue(orientation))], tmp_path / "s.png", "t", columns=1))
    assert _near(sheet.getpixel((136, 92 + 20)), RED) and _near(sheet.getpixel((136, 92 + 136)), BLUE)


_NOISE = encode(Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)), "JPEG", 80)
_UNREADABLE = {
    "empty": b"",
    "html": b"<html>",
    "header cut": _NOISE[:300],
    "rows cut": _NOISE[: len(_NOISE) // 2],
    "bomb": claims_too_many_pixels(),
    "bad chunks": b"\x89PNG\r\n\x1a\n" + bytes(40),
}


@pytest.mark.parametrize("data", _UNREADABLE.values(), ids=_UNREADABLE.keys())
def test_unreadable_photo_becomes_a_grey_tile_with_a_reason(tmp_path: Path, data: bytes) -> None:
    sheet = _open(contact_sheet([SheetPhoto(data)], tmp_path / "s.png", "t", columns=1))
    tile = np.asarray(sheet)[92:248, 32:240].astype(int)
    assert _near(tile[10, 10], (222, 221, 218))
    reddish = (tile[..., 0] - tile[..., 1]) > 60
    assert reddish.sum() > 40, "the tile must show the reason"


def test_the_note_replaces_the_reason_on_a_grey_tile(tmp_path: Path) -> None:
    def tile(note: str | None) -> bytes:
        return (
            _open(contact_sheet([SheetPhoto(b"", [], note)], tmp_path / "s.png", "t", columns=1))
            .crop((32, 92, 240, 248))
            .tobytes()
        )

    assert tile("rejected: gone") != tile(None)
    assert tile("empty file") == tile(None)


def test_an_unreadable_photo_does_not_shift_the_others(tmp_path: Path) -> None:
    good = SheetPhoto(_half_red_half_blue(), ["a 1%"])
    sheet = _open(contact_sheet([good, SheetPhoto(b"", ["x"]), good], tmp_path / "s.png", "t", columns=3))
    first, third = sheet.crop((32, 92, 240, 280)), sheet.crop((32 + 2 * 226, 92, 240 + 2 * 226, 280))
    assert ImageChops.difference(first, third).getbbox() is None


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK", "I;16", "I", "F"])
def test_a_picture_of_any_mode_is_shown(tmp_path: Path, mode: str) -> None:
    ramp = Image.linear_gradient("L")
    if mode in ("I;16", "I"):
        picture = Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
        picture = picture if mode == "I;16" else picture.convert("I")
    else:
        picture = ramp.convert(mode)
    sheet = _open(contact_sheet([SheetPhoto(picture)], tmp_path / "s.png", "t", columns=1)).convert("L")
    assert sheet.getpixel((136, 92 + 150)) > sheet.getpixel((136, 92 + 8)) + 100


def test_transparent_parts_are_drawn_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (208, 156), (0, 0, 0, 0))
    sheet = _open(contact_sheet([SheetPhoto(clear)], tmp_path / "s.png", "t", columns=1))
    assert _near(sheet.getpixel((136, 170)), (255, 255, 255))


def test_long_text_stays_inside_its_tile_and_the_page(tmp_path: Path) -> None:
    long = "an extraordinarily long label that no tile of this sheet could ever hold 99.9%"
    photo = SheetPhoto(_half_red_half_blue(), [long, long.replace("%", ""), "third", "fourth"], "note " * 60)
    sheet = np.asarray(_open(contact_sheet([photo, SheetPhoto(b"")], tmp_path / "s.png", "title " * 60, columns=2)))
    paper = np.array((250, 249, 246))
    gap = np.abs(sheet[260:, 242:256].astype(int) - paper).max()
    edges = max(np.abs(sheet[:, :30].astype(int) - paper).max(), np.abs(sheet[:, -30:].astype(int) - paper).max())
    assert gap < 12 and edges < 12


def test_page_without_photos_is_drawn(tmp_path: Path) -> None:
    assert _open(contact_sheet([], tmp_path / "s.png", "nothing today")).width == 1402


def test_zero_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one column, not 0"):
        contact_sheet([], tmp_path / "s.png", "t", columns=0)


def test_shortened_text_ends_in_an_ellipsis_and_fits() -> None:
    assert shortened("short", 14, 200) == "short"
    cut = shortened("a label much too long for its room", 14, 90)
    assert cut.endswith("…") and text_width_px(cut, 14) <= 90 and cut.startswith("a label")


def test_characters_missing_in_the_font_are_not_drawn_as_boxes() -> None:
    def drawn(text: str) -> Image.Image:
        picture = Image.new("RGB", (80, 80), (255, 255, 255))
        write(ImageDraw.Draw(picture), (10, 40), text, 40, (0, 0, 0), anchor="lm")
        return picture

    plain = drawn("u")
    dots = ImageChops.difference(drawn("ü"), plain).getbbox()
    assert dots is not None and dots[3] < 40, "the dots must be above the letter"
    assert ImageChops.difference(drawn("é"), drawn("e")).getbbox() is None
    assert ImageChops.difference(drawn("€"), drawn("C")).getbbox() is not None
