"""The little pictures printed on labels: wheat, leaf, fish, a bowl ... Layout of a label does not belong here."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from tools.drawn_products import long_fruit, round_fruit

_SIZE_PX = 220
_FINE = 2  # motifs are drawn this many times larger and shrunk, which smooths their edges
_Point = tuple[float, float]


class _Pen:
    """ImageDraw in a unit square, colours with optional alpha."""

    def __init__(self) -> None:
        self.picture = Image.new("RGBA", (_SIZE_PX * _FINE, _SIZE_PX * _FINE), (128, 128, 128, 0))
        self.draw = ImageDraw.Draw(self.picture)
        self.scale = _SIZE_PX * _FINE

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str) -> None:
        s = self.scale
        self.draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=fill)

    def shape(self, points: list[_Point], fill: str) -> None:
        self.draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=fill)

    def line(self, points: list[_Point], fill: str, width: float) -> None:
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self.draw.line(scaled, fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def petal(self, x: float, y: float, length: float, width: float, turn: float, fill: str, fold: str = "") -> None:
        """A pointed leaf from (x, y) in the direction turn (radians, 0 = right)."""
        ex, ey = x + length * math.cos(turn), y + length * math.sin(turn)
        px, py = -math.sin(turn) * width, math.cos(turn) * width
        upper, lower = [], []
        for step in range(11):
            share = step / 10
            bulge = math.sin(math.pi * share**0.8)
            cx, cy = x + (ex - x) * share, y + (ey - y) * share
            upper.append((cx + px * bulge, cy + py * bulge))
            lower.append((cx - px * bulge, cy - py * bulge))
        self.shape(upper + lower[::-1], fill)
        if fold:
            self.line([(x, y), (ex, ey)], fold, width * 0.16)


def _wheat(pen: _Pen, rng: np.random.Generator) -> None:
    for lean in (-0.34, 0.0, 0.34):
        foot, tip = (0.5, 0.97), (0.5 + lean, 0.16 + 0.1 * abs(lean))
        pen.line([foot, (0.5 + lean * 0.4, 0.6), tip], "#c9962f", 0.014)
        turn = math.atan2(tip[1] - 0.6, tip[0] - 0.5 - lean * 0.4)
        for grain in range(7):
            x = tip[0] - (tip[0] - 0.5 - lean * 0.4) * grain * 0.1
            y = tip[1] + (0.6 - tip[1]) * grain * 0.12
            for side in (-0.55, 0.55):
                pen.petal(x, y, 0.13, 0.032, turn + side, "#e3b04b" if side < 0 else "#cf9630", "#b07c20")
        pen.petal(tip[0], tip[1], 0.14, 0.03, turn, "#e9bb5a")


def _leaf(pen: _Pen, rng: np.random.Generator) -> None:
    for turn, length, fill in ((-2.5, 0.5, "#3f8a34"), (-0.6, 0.52, "#4f9c3d"), (-1.57, 0.62, "#66b24a")):
        pen.petal(0.5, 0.82, length, length * 0.3, turn, fill, "#2c6424")


def _milk(pen: _Pen, rng: np.random.Generator) -> None:
    pen.shape([(0.3, 0.2), (0.7, 0.2), (0.64, 0.94), (0.36, 0.94)], "#dfeaf6")
    pen.shape([(0.315, 0.34), (0.685, 0.34), (0.63, 0.92), (0.37, 0.92)], "#ffffff")
    pen.oval(0.5, 0.34, 0.186, 0.035, "#eef3f8")
    pen.shape([(0.34, 0.24), (0.39, 0.24), (0.41, 0.9), (0.38, 0.9)], "#ffffff")
    for _ in range(9):
        x, y = rng.uniform(0.1, 0.9), rng.uniform(0.02, 0.3)
        pen.oval(x, y, 0.02, 0.024, "#ffffff")


def _bowl(pen: _Pen, rng: np.random.Generator) -> None:
    for _ in range(90):
        x = rng.normal(0.5, 0.16)
        y = 0.46 - max(0.0, 0.2 - abs(x - 0.5) * 0.6) * rng.random()
        if abs(x - 0.5) < 0.38:
            fill = ("#f2b632", "#e39b1d", "#ffd566", "#fff1c4")[int(rng.integers(4))]
            pen.petal(x, y, rng.uniform(0.05, 0.09), 0.026, rng.uniform(0, 6.3), fill)
    pen.draw.chord([v * pen.scale for v in (0.1, 0.06, 0.9, 0.92)], 0, 180, fill="#f7f7fb")
    pen.draw.chord([v * pen.scale for v in (0.1, 0.06, 0.9, 0.92)], 20, 90, fill="#dfe3ee")
    pen.oval(0.5, 0.49, 0.4, 0.03, "#ffffff")


def _drop(pen: _Pen, rng: np.random.Generator) -> None:
    pen.shape([(0.5, 0.05), (0.74, 0.56), (0.26, 0.56)], "#38a3e0")
    pen.oval(0.5, 0.65, 0.255, 0.26, "#38a3e0")
    pen.oval(0.42, 0.64, 0.07, 0.12, "#bfe6fb")


def _bubbles(pen: _Pen, rng: np.random.Generator) -> None:
    for _ in range(16):
        x, y, r = rng.uniform(0.14, 0.86), rng.uniform(0.12, 0.88), rng.uniform(0.03, 0.13)
        pen.oval(x, y, r, r, "#ffffff90")
        pen.oval(x, y, r * 0.84, r * 0.84, "#bfe4ffa0")
        pen.oval(x - r * 0.35, y - r * 0.35, r * 0.24, r * 0.24, "#ffffff")


def _cocoa(pen: _Pen, rng: np.random.Generator) -> None:
    for row in range(3):
        for column in range(2):
            x, y = 0.24 + column * 0.27, 0.3 + row * 0.22
            pen.shape([(x, y), (x + 0.25, y), (x + 0.25, y + 0.2), (x, y + 0.2)], "#5b3222")
            pen.shape(
                [(x + 0.03, y + 0.03), (x + 0.22, y + 0.03), (x + 0.22, y + 0.17), (x + 0.03, y + 0.17)], "#70402b"
            )
    pen.petal(0.3, 0.26, 0.5, 0.1, -0.35, "#a8622d", "#7d4520")


def _biscuit(pen: _Pen, rng: np.random.Generator) -> None:
    for x, y in ((0.36, 0.42), (0.62, 0.58)):
        for tooth in range(18):
            turn = tooth * math.tau / 18
            pen.oval(x + 0.25 * math.cos(turn), y + 0.25 * math.sin(turn), 0.045, 0.045, "#d99a45")
        pen.oval(x, y, 0.25, 0.25, "#e7b163")
        pen.oval(x, y, 0.2, 0.2, "#efc27b")
        for _ in range(9):
            pen.oval(x + rng.uniform(-0.14, 0.14), y + rng.uniform(-0.14, 0.14), 0.014, 0.014, "#b9762b")


def _pasta(pen: _Pen, rng: np.random.Generator) -> None:
    for _ in range(26):
        x, y, turn = rng.uniform(0.1, 0.8), rng.uniform(0.15, 0.85), rng.uniform(-0.9, 0.9)
        for step in range(6):
            cx, cy = x + step * 0.036 * math.cos(turn), y + step * 0.036 * math.sin(turn)
            pen.petal(cx, cy, 0.075, 0.022, turn + 1.15, "#e7bd5c" if step % 2 else "#f5d98c")


def _crisps(pen: _Pen, rng: np.random.Generator) -> None:
    for _ in range(11):
        x, y = rng.normal(0.5, 0.17), rng.normal(0.52, 0.13)
        rx, ry = rng.uniform(0.11, 0.17), rng.uniform(0.07, 0.12)
        pen.oval(x, y, rx, ry, "#cf8d1f")
        pen.oval(x, y - 0.012, rx * 0.95, ry * 0.92, "#f6c750")
        pen.oval(x - rx * 0.25, y - ry * 0.25, rx * 0.5, ry * 0.4, "#fbdd83")


def _beans(pen: _Pen, rng: np.random.Generator) -> None:
    for _ in range(34):
        x, y = rng.normal(0.5, 0.18), rng.normal(0.55, 0.16)
        turn = rng.uniform(0, math.tau)
        pen.petal(x, y, 0.15, 0.055, turn, ("#6b3d1e", "#7d4a26", "#54300f")[int(rng.integers(3))], "#2c1808")


def _haricots(pen: _Pen, rng: np.random.Generator) -> None:
    for _ in range(30):
        x, y, turn = rng.normal(0.46, 0.19), rng.normal(0.54, 0.14), rng.uniform(0, math.tau)
        pen.petal(x, y, 0.17, 0.06, turn, "#b8501c")
        pen.petal(x + 0.008, y, 0.15, 0.05, turn, ("#e0893c", "#d97a2e", "#e89b52")[int(rng.integers(3))])


def _grapes(pen: _Pen, rng: np.random.Generator) -> None:
    pen.petal(0.5, 0.2, 0.34, 0.12, -0.4, "#4d7a2d", "#33561c")
    for row, count in enumerate((5, 5, 4, 3, 2, 1)):
        for place in range(count):
            x, y = 0.5 + (place - (count - 1) / 2) * 0.135, 0.3 + row * 0.11
            pen.oval(x, y, 0.074, 0.074, "#4c1433")
            pen.oval(x - 0.02, y - 0.022, 0.032, 0.03, "#8d4770")


def _olives(pen: _Pen, rng: np.random.Generator) -> None:
    pen.line([(0.08, 0.2), (0.5, 0.3), (0.92, 0.16)], "#6b5a2c", 0.018)
    for x, turn in ((0.2, -0.7), (0.34, 0.8), (0.52, -0.9), (0.68, 0.6), (0.82, -0.6)):
        pen.petal(x, 0.25, 0.27, 0.045, turn, "#7f9150", "#5a6a34")
    for x, y in ((0.36, 0.62), (0.58, 0.68)):
        pen.oval(x, y, 0.11, 0.15, "#5d6d1c")
        pen.oval(x - 0.035, y - 0.05, 0.03, 0.05, "#aab967")


def _honey(pen: _Pen, rng: np.random.Generator) -> None:
    for row in range(5):
        for column in range(5):
            x, y = 0.16 + column * 0.17 + (row % 2) * 0.085, 0.18 + row * 0.148
            hexagon = [(x + 0.09 * math.sin(k * math.pi / 3), y + 0.09 * math.cos(k * math.pi / 3)) for k in range(6)]
            pen.shape(hexagon, "#b86f08")
            inner = [(x + (px - x) * 0.82, y + (py - y) * 0.82) for px, py in hexagon]
            pen.shape(inner, ("#f6ab1a", "#ffc13b", "#eb9a0f")[int(rng.integers(3))])


def _corn(pen: _Pen, rng: np.random.Generator) -> None:
    for column in range(7):
        for row in range(13):
            x, y = 0.5 + (column - 3) * 0.062, 0.14 + row * 0.058
            if ((x - 0.5) / 0.24) ** 2 + ((y - 0.48) / 0.42) ** 2 < 1:
                pen.oval(x, y, 0.034, 0.032, "#e8a90f")
                pen.oval(x - 0.006, y - 0.008, 0.022, 0.02, "#ffd94f")
    pen.petal(0.5, 0.98, 0.72, 0.13, -2.1, "#5fa03c", "#3f7a28")
    pen.petal(0.5, 0.98, 0.72, 0.13, -1.04, "#4f9034", "#3f7a28")


def _fish(pen: _Pen, rng: np.random.Generator) -> None:
    pen.shape([(0.72, 0.5), (0.97, 0.3), (0.9, 0.5), (0.97, 0.7)], "#3f6f97")
    pen.shape([(0.4, 0.36), (0.56, 0.2), (0.62, 0.38)], "#3f6f97")
    pen.oval(0.44, 0.5, 0.36, 0.17, "#4d86b3")
    pen.draw.chord([v * pen.scale for v in (0.08, 0.33, 0.8, 0.67)], 5, 175, fill="#cfe2ef")
    pen.oval(0.2, 0.47, 0.03, 0.03, "#ffffff")
    pen.oval(0.2, 0.47, 0.016, 0.016, "#10202c")


_DRAWN: dict[str, Callable[[_Pen, np.random.Generator], None]] = {
    "wheat": _wheat, "leaf": _leaf, "milk": _milk, "bowl": _bowl, "drop": _drop, "bubbles": _bubbles,
    "cocoa": _cocoa,
    "biscuit": _biscuit, "pasta": _pasta, "crisps": _crisps, "beans": _beans,
    "haricots": _haricots, "grapes": _grapes,
    "olives": _olives, "honey": _honey, "corn": _corn, "fish": _fish,
}  # fmt: skip
_SHADED: dict[str, Callable[[int, np.random.Generator], Image.Image]] = {
    "strawberry": round_fruit.strawberry,
    "orange": round_fruit.orange,
    "lemon": round_fruit.lemon,
    "tomato": round_fruit.tomato,
    "cucumber": long_fruit.cucumber,
}
MOTIFS = (*_DRAWN, *_SHADED)


@lru_cache(maxsize=len(MOTIFS))
def motif(name: str) -> Image.Image:
    """The motif as RGBA, 220 px on its longer side, the same on every call; do not draw on what is returned."""
    rng = np.random.default_rng(len(name) * 1009 + MOTIFS.index(name))
    if name in _SHADED:
        return _SHADED[name](_SIZE_PX, rng)
    pen = _Pen()
    _DRAWN[name](pen, rng)
    return pen.picture.resize((_SIZE_PX, _SIZE_PX), Image.Resampling.BOX)
