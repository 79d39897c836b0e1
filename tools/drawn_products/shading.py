"""Light on surfaces: noise, normals, highlights, colours as arrays. Which thing is drawn does not belong here.

Axes: x to the right, y down, z towards the camera. Maps are float32 of shape (height, width), albedos
(height, width, 3) in 0..255.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shelf_assets.demo.lettering import Colour

# float32 in practice; numpy's stubs widen most arithmetic, so the element type is left open.
Map = NDArray[np.floating[Any]]

# Shop light comes from above, a little from the left and from behind the camera.
_LIGHT = np.array([-0.42, -0.66, 0.62], np.float32)
_LIGHT /= np.linalg.norm(_LIGHT)
_HALF = _LIGHT + np.array([0, 0, 1], np.float32)
_HALF /= np.linalg.norm(_HALF)


class Surface(NamedTuple):
    """What a lit body is made of: where it is (alpha) and which way it faces, all (height, width) float32."""

    alpha: Map
    nx: Map
    ny: Map
    nz: Map


def rgb(colour: str) -> Colour:
    """(r, g, b) of "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def blend(low: Colour | Map, high: Colour | Map, share: Map) -> Map:
    """Colours between low (share 0) and high (share 1), shape (height, width, 3)."""
    bottom = np.asarray(low, np.float32)
    amount = np.clip(share, 0, 1)[..., None]
    return np.asarray(bottom + (np.asarray(high, np.float32) - bottom) * amount, np.float32)


def tint(colour: Colour, factor: float) -> Colour:
    """The colour darker (factor below 1) or mixed with white (above 1)."""
    red, green, blue = colour
    if factor <= 1:
        return round(red * factor), round(green * factor), round(blue * factor)
    share = min(factor - 1, 1)
    return round(red + (255 - red) * share), round(green + (255 - green) * share), round(blue + (255 - blue) * share)


def noise(rng: np.random.Generator, width_px: int, height_px: int, cell_x_px: float, cell_y_px: float) -> Map:
    """Smooth random field, about -1..1, that changes over cells of the given size."""
    columns = max(2, int(width_px / cell_x_px) + 2)
    rows = max(2, int(height_px / cell_y_px) + 2)
    coarse = Image.fromarray(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
    return np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BICUBIC), np.float32)


def lit(albedo: Map, surface: Surface, *, gloss: float = 0.5, shine: float = 40, ambient: float = 0.42) -> Image.Image:
    """The body as RGBA: diffuse light wrapped round it, sky from above, a highlight and a bright rim.

    Blinn's halfway-vector highlight (SIGGRAPH 1977); gloss is its strength, shine how small it is.
    """
    _, nx, ny, nz = surface
    facing = nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2]
    diffuse = np.clip(facing * 0.78 + 0.22, 0, None)
    # Light comes back from the board below, so undersides are not black.
    light = ambient * (0.95 - 0.2 * ny) + 0.76 * diffuse
    halfway = np.clip(nx * _HALF[0] + ny * _HALF[1] + nz * _HALF[2], 0, 1)
    spark = np.power(halfway, shine) * (gloss * 235)
    spark += np.power(1 - np.clip(nz, 0, 1), 4) * (gloss * 40)
    return to_rgba(albedo * light[..., None] + spark[..., None], surface.alpha)


def grid(rows: int, columns: int, low: float = 0.0, high: float = 1.0) -> tuple[Map, Map]:
    """(y, x): how far down and across each cell of a grid lies, from low to high, both (rows, columns)."""
    down, across = np.linspace(low, high, rows, dtype=np.float32), np.linspace(low, high, columns, dtype=np.float32)
    return np.repeat(down[:, None], columns, axis=1), np.repeat(across[None, :], rows, axis=0)


def to_rgba(colours: Map, alpha: Map) -> Image.Image:
    """RGBA picture of colours in 0..255 and alpha in 0..1, both clipped."""
    height, width = alpha.shape
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[..., :3] = np.clip(colours, 0, 255)
    pixels[..., 3] = np.clip(alpha, 0, 1) * 255
    return Image.fromarray(pixels)


def grey(values: Map) -> Image.Image:
    """An "L" picture of values in 0..1, clipped."""
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))


def bumped(surface: Surface, height_field: Map, strength: float) -> Surface:
    """The surface with its normals tilted by the slope of a height field (pores, seeds, wrinkles)."""
    slope_y, slope_x = np.gradient(height_field)
    nx, ny = surface.nx - strength * slope_x, surface.ny - strength * slope_y
    length = np.sqrt(nx * nx + ny * ny + surface.nz * surface.nz) + 1e-6
    return Surface(surface.alpha, nx / length, ny / length, surface.nz / length)
