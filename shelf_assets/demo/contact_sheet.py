"""Draws a contact sheet: a PNG of many photos with lines of text. Callers choose the photos and the text."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from shelf_assets.demo.lettering import Colour, shortened, text_width_px, write

_TILE_PX, _THUMB_PX = 208, (208, 156)  # a tile's width; the box into which each picture is fitted
_GAP_PX, _MARGIN_PX, _HEADER_PX = 18, 32, 92
_LINE_PX, _TEXT_PX, _MAX_LINES = 19, 14, 3
_PAPER, _INK, _FAINT, _WARN = (250, 249, 246), (32, 34, 38), (118, 120, 124), (178, 44, 36)
_GREY, _MOUNT, _RULE = (222, 221, 218), (238, 237, 233), (206, 204, 198)
_MAX_PIXELS = 200_000_000  # a picture whose header claims more is not decoded
_BYTES_PER_PHOTO, _FRAME_BYTES = 28_000, 100_000  # 48 photos stay below 1.5 MB
_SCORE = re.compile(r"^(?P<label>.*\S)\s+(?P<score>\d+(?:[.,]\d+)?\s?%)$")


@dataclass(frozen=True)
class SheetPhoto:
    """One tile: the picture (a file's bytes or a decoded image), lines below it, and a note for a photo not accepted.

    Of a line that ends in a percentage ("banana 92%"), the label is set on the left and the number on the right.
    """

    image: bytes | Image.Image
    lines: Sequence[str] = ()
    note: str | None = None


def contact_sheet(photos: Sequence[SheetPhoto], out: Path, title: str, columns: int = 6) -> Path:
    """Write the sheet as PNG to `out`, creating its folders, and return `out`.

    EXIF orientation is applied. A picture that cannot be read becomes a grey tile with its note or the reason. At most
    three lines of a photo are shown; one that is too long ends in "…". Raises ValueError for fewer than one column.
    """
    if columns < 1:
        raise ValueError(f"a contact sheet has at least one column, not {columns}")
    rows = (len(photos) + columns - 1) // columns
    lines_px = _LINE_PX * min(_MAX_LINES, max((len(p.lines) + (p.note is not None) for p in photos), default=0))
    row_px = _THUMB_PX[1] + 8 + lines_px + _GAP_PX
    width_px = 2 * _MARGIN_PX + columns * _TILE_PX + (columns - 1) * _GAP_PX
    sheet = Image.new("RGB", (width_px, _HEADER_PX + rows * row_px + _MARGIN_PX - _GAP_PX), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _header(pen, title, len(photos), width_px)
    for place, photo in enumerate(photos):
        left = _MARGIN_PX + (place % columns) * (_TILE_PX + _GAP_PX)
        top = _HEADER_PX + (place // columns) * row_px
        _tile(sheet, pen, photo, left, top)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(_as_png(sheet, _FRAME_BYTES + _BYTES_PER_PHOTO * len(photos)))
    return out


def _header(pen: ImageDraw.ImageDraw, title: str, photos: int, width_px: int) -> None:
    count = f"{photos} photo{'' if photos == 1 else 's'}"
    room_px = width_px - 2 * _MARGIN_PX - text_width_px(count, 16) - 24
    write(pen, (_MARGIN_PX, 40), shortened(title, 27, room_px), 27, _INK, anchor="lm", bold=True)
    write(pen, (width_px - _MARGIN_PX, 43), count, 16, _FAINT, anchor="rm")
    pen.line((_MARGIN_PX, 68, width_px - _MARGIN_PX, 68), fill=_RULE, width=2)


def _tile(sheet: Image.Image, pen: ImageDraw.ImageDraw, photo: SheetPhoto, left: int, top: int) -> None:
    wide, tall = _THUMB_PX
    picture = _thumbnail(photo.image)
    if isinstance(picture, str):
        pen.rectangle((left, top, left + wide - 1, top + tall - 1), fill=_GREY, outline=_RULE)
        reason = _wrapped(photo.note or picture, _TEXT_PX, wide - 24, 4)
        for place, line in enumerate(reason):
            y = top + tall / 2 + (place - (len(reason) - 1) / 2) * _LINE_PX
            write(pen, (left + wide / 2, y), line, _TEXT_PX, _WARN)
    else:
        pen.rectangle((left, top, left + wide - 1, top + tall - 1), fill=_MOUNT)
        sheet.paste(picture, (left + (wide - picture.width) // 2, top + (tall - picture.height) // 2))
    # On a grey tile the note already stands in the middle.
    note = photo.note if photo.note is not None and not isinstance(picture, str) else None
    y = top + tall + 8 + _LINE_PX / 2
    for place, line in enumerate(photo.lines[: _MAX_LINES - (note is not None)]):
        _caption(pen, line, left, y, _INK if place == 0 else _FAINT, bold=place == 0)
        y += _LINE_PX
    if note is not None:
        write(pen, (left, y), shortened(note, _TEXT_PX, wide), _TEXT_PX, _WARN, anchor="lm")


def _caption(pen: ImageDraw.ImageDraw, line: str, left: int, y: float, colour: Colour, *, bold: bool) -> None:
    scored = _SCORE.match(" ".join(line.split()))
    room_px = float(_TILE_PX)
    if scored:
        line, score = scored["label"], scored["score"]
        write(pen, (left + _TILE_PX, y), score, _TEXT_PX, colour, anchor="rm", bold=bold)
        room_px -= text_width_px(score, _TEXT_PX) + 10
    write(pen, (left, y), shortened(line, _TEXT_PX, room_px), _TEXT_PX, colour, anchor="lm", bold=bold)


def _thumbnail(image: bytes | Image.Image) -> Image.Image | str:
    """The picture, upright, RGB, fitted into the thumbnail's box; or the reason why it cannot be shown."""
    if isinstance(image, bytes) and not image:
        return "empty file"
    try:
        picture = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
        if picture.width * picture.height > _MAX_PIXELS:
            return f"too many pixels: {picture.width} x {picture.height}"
        if isinstance(image, bytes):
            # A JPEG of 12 megapixels is decoded at an eighth of its size: fast, and sharp enough for a thumbnail.
            picture.draft("RGB", (_THUMB_PX[0] * 2, _THUMB_PX[0] * 2))
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            layer = picture.convert("RGBA")
            picture = Image.new("RGBA", layer.size, (255, 255, 255, 255))
            picture.alpha_composite(layer)
        return ImageOps.contain(_eight_bit(picture), _THUMB_PX, Image.Resampling.LANCZOS)
    except Image.DecompressionBombError:
        return "too many pixels"
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        # Pillow's readers raise these on broken files; which one depends on the position of the damage.
        return f"unreadable: {type(error).__name__}" if not str(error) else f"unreadable: {_first_words(error)}"


def _eight_bit(picture: Image.Image) -> Image.Image:
    """The picture as RGB; 16-bit and float greys are scaled to their own range, since convert() would clip them."""
    if picture.mode.startswith(("I", "F")):
        levels = np.asarray(picture, np.float32)
        low, high = float(levels.min()), float(levels.max())
        picture = Image.fromarray(((levels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
    return picture.convert("RGB")


def _first_words(error: Exception) -> str:
    # Pillow quotes the whole buffer object in "cannot identify image file <_io.BytesIO object at 0x...>".
    return re.sub(r"\s*<[^>]*>", "", str(error)).strip()


def _wrapped(text: str, size_px: int, width_px: float, max_lines: int) -> list[str]:
    """The text in at most `max_lines` lines, broken between words, the last one shortened."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < max_lines:
        if len(lines) == max_lines - 1:
            lines.append(shortened(" ".join(words), size_px, width_px))
            break
        count = 1
        while count < len(words) and text_width_px(" ".join(words[: count + 1]), size_px) <= width_px:
            count += 1
        lines.append(shortened(" ".join(words[:count]), size_px, width_px))
        words = words[count:]
    return lines


def _as_png(sheet: Image.Image, max_bytes: int) -> bytes:
    """PNG with 256 colours chosen from the sheet; fewer, and undithered, if it would be larger than `max_bytes`."""
    data = b""
    for colours, dither in (
        (256, Image.Dither.FLOYDSTEINBERG),
        (256, Image.Dither.NONE),
        (128, Image.Dither.NONE),
        (48, Image.Dither.NONE),
    ):
        palette = sheet.quantize(colours, Image.Quantize.MEDIANCUT)
        reduced = sheet.quantize(palette=palette, dither=dither)
        buffer = io.BytesIO()
        reduced.save(buffer, "PNG", optimize=True)
        data = buffer.getvalue()
        if len(data) <= max_bytes:
            break
    return data
