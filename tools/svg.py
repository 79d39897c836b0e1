"""A drawing of labelled boxes and arrows as SVG text; the same calls give the same bytes. Lengths are in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

Kind = Literal["outside", "code", "store"]
Point = tuple[float, float]

_FILL: dict[Kind, str] = {"outside": "#f1f3f5", "code": "#e7f0fd", "store": "#fdf3df"}
_STROKE: dict[Kind, str] = {"outside": "#868e96", "code": "#2f6fd0", "store": "#c78516"}
_TEXT, _FAINT, _LINE = "#1f2933", "#52606d", "#495057"
_FONT = "font-family='DejaVu Sans, Verdana, Arial, sans-serif'"


@dataclass(frozen=True)
class Box:
    """A box with a title, some lines of text, and at its foot the rooms of the code that own it."""

    left_px: float
    top_px: float
    width_px: float
    height_px: float
    title: str
    lines: tuple[str, ...]
    kind: Kind
    rooms: str = ""

    @property
    def left(self) -> Point:
        return self.left_px, self.top_px + self.height_px / 2

    @property
    def right(self) -> Point:
        return self.left_px + self.width_px, self.top_px + self.height_px / 2

    @property
    def top(self) -> Point:
        return self.left_px + self.width_px / 2, self.top_px

    @property
    def bottom(self) -> Point:
        return self.left_px + self.width_px / 2, self.top_px + self.height_px


class Drawing:
    """Collects the parts of a picture in the order in which they are drawn."""

    def __init__(self, width_px: int, height_px: int, title: str) -> None:
        self._head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width_px} {height_px}' width='{width_px}' "
            f"height='{height_px}' role='img' {_FONT}>\n<title>{escape(title)}</title>\n"
            "<defs><marker id='tip' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='8' markerHeight='8' orient='auto'>"
            f"<path d='M0 0 L10 5 L0 10 z' fill='{_LINE}'/></marker></defs>\n"
            f"<rect width='{width_px}' height='{height_px}' fill='white'/>\n"
        )
        self._parts: list[str] = []

    def svg(self) -> str:
        return self._head + "\n".join(self._parts) + "\n</svg>\n"

    def frame(self, left_px: float, top_px: float, width_px: float, height_px: float, title: str, rooms: str) -> None:
        """A frame around boxes, with its title inside at the top, in the middle."""
        self._parts.append(
            f"<rect x='{left_px}' y='{top_px}' width='{width_px}' height='{height_px}' rx='10' fill='#fafbfc' "
            "stroke='#adb5bd' stroke-dasharray='6 4'/>"
        )
        self._text(left_px + width_px / 2, top_px + 26, title, 15, _FAINT, weight="bold", anchor="middle")
        self._rooms(left_px + width_px - 16, top_px + 26, rooms, anchor="end")

    def box(self, box: Box) -> None:
        self._parts.append(
            f"<rect x='{box.left_px}' y='{box.top_px:g}' width='{box.width_px}' height='{box.height_px:g}' "
            f"rx='{22 if box.kind == 'store' else 8}' fill='{_FILL[box.kind]}' stroke='{_STROKE[box.kind]}' stroke-width='1.5'/>"
        )
        middle = box.left_px + box.width_px / 2
        line_heights = 20 + 18 * len(box.lines) + (18 if box.rooms else 0)
        y = box.top_px + (box.height_px - line_heights) / 2 + 15
        self._text(middle, y, box.title, 16, _TEXT, weight="bold", anchor="middle")
        for line in box.lines:
            y += 18
            self._text(middle, y, line, 13, _TEXT, anchor="middle")
        if box.rooms:
            self._rooms(middle, y + 19, box.rooms, anchor="middle")

    def arrow(self, *points: Point) -> None:
        """A line through the points, with a tip at its end."""
        way = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(
            f"<polyline points='{way}' fill='none' stroke='{_LINE}' stroke-width='1.6' marker-end='url(#tip)'/>"
        )

    def note(self, left_px: float, top_px: float, lines: tuple[str, ...]) -> None:
        for index, line in enumerate(lines):
            self._text(left_px, top_px + 18 * index, line, 13, _FAINT)

    def _rooms(self, x: float, y: float, rooms: str, anchor: str) -> None:
        named = "  ".join(f"{room}/" for room in rooms.split())
        self._parts.append(
            f"<text x='{x:g}' y='{y:g}' font-size='12' font-family='DejaVu Sans Mono, Menlo, Consolas, monospace' "
            f"fill='#2f6fd0' text-anchor='{anchor}' xml:space='preserve'>{escape(named)}</text>"
        )

    def _text(
        self, x: float, y: float, text: str, size: int, colour: str, *, weight: str = "normal", anchor: str = "start"
    ) -> None:
        self._parts.append(
            f"<text x='{x:g}' y='{y:g}' font-size='{size}' font-weight='{weight}' fill='{colour}' "
            f"text-anchor='{anchor}'>{escape(text)}</text>"
        )
