"""Bottles, jars, cans and tubs, turned about an upright axis. What is printed on them does not belong here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from shelf_assets.demo.lettering import Colour
from tools.drawn_products.labels import wrapped_art
from tools.drawn_products.products import Look, Product
from tools.drawn_products.shading import Map, noise, rgb, tint

_SILVER, _GLASS = (196, 199, 204), (206, 220, 214)


@dataclass(frozen=True)
class Shape:
    """A turned shape: (place down the axis, radius) in units of its height, and which places carry what.

    bands: (from, colour name) down the axis; names are "cap", "content", "ground", "glass", "silver".
    label: places between which the label is wrapped. lid: colour name of the visible top, "" for none.
    """

    profile: tuple[tuple[float, float], ...]
    label: tuple[float, float]
    bands: tuple[tuple[float, str], ...]
    lid: str = ""
    is_glassy: bool = False
    see_through: float = 0.0
    ribs: tuple[float, float] = (0.0, 0.0)  # places between which the wall is ribbed


# fmt: off
SHAPES: dict[str, Shape] = {
    "wine_bottle": Shape(
        ((0, 0.044), (0.03, 0.046), (0.035, 0.042), (0.28, 0.045), (0.36, 0.062), (0.43, 0.105),
         (0.5, 0.124), (1, 0.124)),
        (0.54, 0.88), ((0, "cap"), (0.2, "content")), "cap", True),
    "beer_bottle": Shape(
        ((0, 0.053), (0.025, 0.053), (0.03, 0.044), (0.24, 0.056), (0.36, 0.09), (0.44, 0.132), (1,
         0.132)),
        (0.5, 0.9), ((0, "cap"), (0.032, "content")), "cap", True),
    "water_bottle": Shape(
        ((0, 0.045), (0.045, 0.045), (0.05, 0.04), (0.09, 0.042), (0.16, 0.08), (0.27, 0.132),
         (0.33, 0.14), (0.5, 0.135), (0.66, 0.14), (1, 0.136)),
        (0.37, 0.66), ((0, "cap"), (0.05, "content")), "cap", True, 0.5, (0.68, 0.95)),
    "soda_bottle": Shape(
        ((0, 0.05), (0.055, 0.05), (0.06, 0.044), (0.1, 0.048), (0.2, 0.1), (0.31, 0.148), (0.4,
         0.146), (0.62, 0.146), (0.7, 0.132), (0.82, 0.15), (0.96, 0.148), (1, 0.13)),
        (0.36, 0.64), ((0, "cap"), (0.058, "glass"), (0.13, "content")), "cap", True),
    "oil_bottle": Shape(
        ((0, 0.05), (0.1, 0.05), (0.105, 0.042), (0.2, 0.046), (0.29, 0.1), (0.34, 0.12), (1,
         0.12)),
        (0.42, 0.9), ((0, "cap"), (0.1, "glass"), (0.17, "content")), "cap", True),
    "squeeze_bottle": Shape(
        ((0, 0.045), (0.02, 0.05), (0.12, 0.085), (0.15, 0.1), (0.155, 0.12), (0.26, 0.168), (0.5,
         0.155), (0.85, 0.17), (1, 0.16)),
        (0.27, 0.93), ((0, "cap"), (0.15, "content")), "cap"),
    "pump_bottle": Shape(
        ((0, 0.03), (0.045, 0.034), (0.05, 0.014), (0.13, 0.014), (0.132, 0.06), (0.2, 0.065),
         (0.21, 0.12), (0.25, 0.19), (0.3, 0.2), (1, 0.2)),
        (0.3, 0.94), ((0, "cap"), (0.205, "content"))),
    "jar": Shape(
        ((0, 0.345), (0.16, 0.35), (0.165, 0.32), (0.21, 0.33), (0.28, 0.385), (0.93, 0.385), (1,
         0.35)),
        (0.36, 0.86), ((0, "cap"), (0.16, "glass"), (0.225, "content"), (0.985, "glass")), "cap",
        True),
    "tall_jar": Shape(
        ((0, 0.235), (0.11, 0.24), (0.115, 0.222), (0.15, 0.228), (0.22, 0.275), (0.95, 0.275), (1,
         0.25)),
        (0.36, 0.8), ((0, "cap"), (0.11, "glass"), (0.17, "content"), (0.985, "glass")), "cap",
        True),
    "tin": Shape(
        ((0, 0.352), (0.025, 0.352), (0.035, 0.34), (0.965, 0.34), (0.975, 0.352), (1, 0.352)),
        (0.045, 0.955), ((0, "silver"),), "silver"),
    "flat_tin": Shape(
        ((0, 0.89), (0.07, 0.89), (0.09, 0.86), (0.9, 0.86), (0.93, 0.88), (1, 0.84)),
        (0.12, 0.88), ((0, "silver"),), "silver"),
    "drink_can": Shape(
        ((0, 0.222), (0.02, 0.222), (0.09, 0.27), (0.93, 0.27), (0.97, 0.235), (1, 0.225)),
        (0.085, 0.935), ((0, "silver"),), "silver"),
    "tub": Shape(
        ((0, 0.46), (0.03, 0.46), (0.04, 0.425), (1, 0.33)),
        (0.07, 0.94), ((0, "ground"),), "silver"),
}
# fmt: on


def _colours(look: Look, shape_name: str) -> dict[str, Colour]:
    caps = {
        "wine_bottle": look.accent,
        "beer_bottle": "#c9a227",
        "oil_bottle": "#1c1c18",
        "pump_bottle": "#f4f4f4",
        "jar": look.accent,
        "tall_jar": look.accent,
    }
    cap = caps.get(shape_name, look.accent if look.accent != "#ffffff" else "#d8161c")
    return {
        "cap": rgb(cap),
        "content": rgb(look.content),
        "ground": rgb(look.ground),
        "glass": _GLASS,
        "silver": _SILVER,
    }


def _light_across(gloss: float, is_glassy: bool) -> tuple[Map, Map]:
    """Light and shine by place across the vessel (table of 1024, -1..1): lamps show as upright stripes."""
    s = np.linspace(-1, 1, 1024, dtype=np.float32)
    facing = -0.42 * s + 0.9 * np.sqrt(1 - s * s)
    light = 0.34 + 0.68 * np.clip(facing, 0, 1)
    if is_glassy:
        light = 0.42 + 0.5 * np.clip(facing, 0, 1) + 0.22 * np.power(np.abs(s), 6)
    stripe = (
        np.exp(-np.square((s + 0.52) / 0.085))
        + 0.4 * np.exp(-np.square((s - 0.66) / 0.05))
        + 0.12 * np.exp(-np.square((s + 0.2) / 0.3))
    )
    return light.astype(np.float32), (gloss * 190 * stripe).astype(np.float32)


def draw_vessel(product: Product, height_px: int, rng: np.random.Generator) -> Image.Image:
    """The product's vessel, RGBA, height_px high, seen from a little above."""
    look, shape = product.look, SHAPES[product.look.shape]
    pitch = float(rng.uniform(0.08, 0.2))
    places, radii = zip(*shape.profile, strict=True)
    axis_px = height_px / (1 + pitch * (radii[0] + radii[-1]))
    fine = np.linspace(0, 1, 1024)
    table = np.interp(fine, places, radii)
    smooth = np.hanning(19)
    table = np.convolve(np.pad(table, 9, mode="edge"), smooth / smooth.sum(), mode="valid")
    if shape.ribs[1] > 0:
        ribbed = (fine > shape.ribs[0]) & (fine < shape.ribs[1])
        table = table - ribbed * 0.004 * (1 + np.sin(fine * 150))
    radius_px = (table * axis_px).astype(np.float32)
    half_px = int(radius_px.max()) + 2
    x = np.arange(-half_px, half_px + 1, dtype=np.float32)[None, :]
    down = np.arange(height_px, dtype=np.float32)[:, None] - pitch * float(radius_px[0])

    def at(place_px: Map) -> Map:
        return np.asarray(np.clip(place_px * (1023 / axis_px), 0, 1023).astype(np.int32))

    # The front of each ring hangs lower the more the camera looks down: y = place + pitch * depth. Two rounds suffice.
    place_px = np.broadcast_to(down, (height_px, x.shape[1]))
    radius = radius_px[at(down)]
    for _ in range(2):
        place_px = down - pitch * np.sqrt(np.clip(radius * radius - x * x, 0, None))
        radius = radius_px[at(place_px)]
    side = np.clip(x / radius, -1, 1)
    alpha = (
        np.clip(radius - np.abs(x) + 0.5, 0, 1)
        * np.clip(place_px + 0.5, 0, 1)
        * np.clip(axis_px - place_px + 0.5, 0, 1)
    )
    index, across = at(place_px), ((side + 1) * 511.5).astype(np.int32)

    names = _colours(look, look.shape)
    columns = np.zeros((1024, 3), np.float32)
    for start, name in shape.bands:
        columns[int(start * 1023) :] = names[name]
    slope = np.gradient(table)
    # Shoulders face the ceiling lamps, undercuts face the floor.
    columns *= np.clip(1 + slope * 26, 0.72, 1.3)[:, None].astype(np.float32)
    colours = columns[index]
    light, shine = _light_across(0.85 if shape.is_glassy else 0.5, shape.is_glassy)
    lit = colours * light[across][..., None] + shine[across][..., None]
    if shape.is_glassy:
        murk = noise(rng, lit.shape[1], height_px, half_px / 2, half_px / 2)
        lit *= (1 + 0.07 * murk)[..., None]
    if shape.see_through:
        bare = (index < shape.label[0] * 1023) | (index > shape.label[1] * 1023)
        bare &= index > shape.bands[1][0] * 1023
        alpha = alpha * np.where(bare, 1 - shape.see_through * (1 - np.power(np.abs(side), 3)), 1)
    _wrap_label(lit, product, shape, index, side, across, axis_px, float(radius_px.max()))
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    pixels[..., :3] = np.clip(lit, 0, 255)
    pixels[..., 3] = alpha * 255
    picture = Image.fromarray(pixels)
    if shape.lid:
        _lid(picture, names[shape.lid], float(radius_px[4]), half_px, pitch, is_metal=shape.lid == "silver")
    if look.shape == "pump_bottle":
        picture = _nozzle(picture, names["cap"], half_px, axis_px, pitch)
    return picture


def _wrap_label(
    lit: Map, product: Product, shape: Shape, index: Map, side: Map, across: Map, axis_px: float, radius_px: float
) -> None:
    """Put the label onto the lit colours, in place: columns follow the angle round the axis."""
    first, last = int(shape.label[0] * 1023), int(shape.label[1] * 1023)
    tall, wide = max(8, round((shape.label[1] - shape.label[0]) * axis_px)), max(16, round(np.pi * radius_px))
    art = np.asarray(wrapped_art(product, wide, tall))
    rows = np.flatnonzero(((index >= first) & (index <= last)).any(axis=1))
    window = slice(int(rows[0]), int(rows[-1]) + 1)
    index, side, across = index[window], side[window], across[window]
    on_label = (index >= first) & (index <= last)
    down = np.clip((index - first) * ((tall - 1) / max(1, last - first)), 0, tall - 1).astype(np.int32)
    turn = np.arcsin(np.linspace(-1, 1, 1024)) / np.pi + 0.5
    right = (turn * (wide - 1)).astype(np.int32)[across]
    light, shine = _light_across(0.28, False)
    label = art[down, right] * light[across][..., None] + shine[across][..., None]
    lit[window][on_label] = label[on_label]


def _lid(picture: Image.Image, colour: Colour, radius_px: float, half_px: int, pitch: float, *, is_metal: bool) -> None:
    """The top seen from above: an ellipse; on cans a rim, a sunk face and a pull tab."""
    fine = 3
    wide, tall = round(radius_px * 2 * fine), max(3, round(radius_px * 2 * pitch * fine))
    layer = Image.new("RGBA", (wide + 2, tall + 2), (*colour, 0))
    pen = ImageDraw.Draw(layer)
    pen.ellipse((0, 0, wide, tall), fill=(*tint(colour, 1.3), 255))
    if is_metal:
        pen.ellipse((wide * 0.05, tall * 0.07, wide * 0.95, tall * 0.95), fill=(*tint(colour, 0.62), 255))
        pen.ellipse((wide * 0.07, tall * 0.14, wide * 0.93, tall * 0.95), fill=(*tint(colour, 0.94), 255))
        pen.ellipse(
            (wide * 0.4, tall * 0.34, wide * 0.62, tall * 0.74),
            fill=(*tint(colour, 1.5), 255),
            outline=(*tint(colour, 0.6), 255),
            width=fine,
        )
    else:
        pen.ellipse((wide * 0.06, tall * 0.1, wide * 0.94, tall * 0.9), fill=(*tint(colour, 1.12), 255))
    layer = layer.resize((max(1, wide // fine), max(1, tall // fine)), Image.Resampling.BOX)
    picture.alpha_composite(layer, (max(0, half_px - layer.width // 2), 0))


def _nozzle(picture: Image.Image, colour: Colour, half_px: int, axis_px: float, pitch: float) -> Image.Image:
    pen = ImageDraw.Draw(picture)
    y, reach, thick = axis_px * 0.02, axis_px * 0.15, axis_px * 0.032
    left = half_px - reach
    pen.polygon(
        [(half_px, y), (left, y + thick * 0.5), (left, y + thick * 1.5), (half_px, y + thick * 1.25)],
        fill=(*tint(colour, 0.86), 255),
    )
    pen.line((left, y + thick * 0.5, half_px, y), fill=(*tint(colour, 1.1), 255), width=2)
    return picture
