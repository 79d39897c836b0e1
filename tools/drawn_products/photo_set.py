"""A set of drawn files, planned by a seed: products, price tags, EAN labels, copies and defective files.

A plan says everything that a file's bytes depend on, so that each file can be drawn alone and in any order.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from PIL import Image

from tools.drawn_products import close_ups
from tools.drawn_products.camera import Shot
from tools.drawn_products.defects import DEFECTS, broken_file
from tools.drawn_products.draw import draw_product, encode
from tools.drawn_products.produce import PRODUCE
from tools.drawn_products.products import PRODUCTS, Product
from tools.drawn_products.scene import Scene, any_scene

LEAST_PHOTOS = 16
MOST_BYTES = 120_000
_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_TAKEN_AT = datetime(2025, 6, 1, 12)
_BROKEN_SIZES_PX = {"truncated": (480, 360), "unsupported_format": (160, 120)}
_SENT_SHARE, _SENT_QUALITY = 0.7, 50  # what a messenger leaves of a photo's sides and quality
# A tag and a label are photographed to be read.
_STEADY = Shot(exposure=1.1, tilt=0.03, noise_levels=2.0)


@dataclass(frozen=True)
class PhotoPlan:
    """One file: plans that differ in their names alone give equal bytes.

    seed is (seed of the set, number of the photo). `is_forwarded` photos were shrunk and recompressed by a messenger.
    """

    name: str
    seed: tuple[int, int]
    product: Product
    scene: Scene = any_scene
    size_px: tuple[int, int] = (640, 480)
    file_format: str = "JPEG"
    quality: int = 85
    orientation: int = 1
    taken_at: datetime | None = None
    is_forwarded: bool = False
    defect: str | None = None
    copy_of: str | None = None


def plan_photos(seed: int, photos: int) -> list[PhotoPlan]:
    """So many files with names of their own: one in eight is defective, one in 25 an exact copy, one is a near-duplicate.

    Raises ValueError for a negative seed and for fewer than LEAST_PHOTOS photos.
    """
    if photos < LEAST_PHOTOS:
        raise ValueError(f"a set has {LEAST_PHOTOS} or more photos, not {photos}")
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, not {seed}")
    defective, copies = photos // 8, photos // 25 or 1
    originals = _originals(seed, photos - defective - copies - 1)
    copied = [each for each in originals if each.scene is any_scene and each.file_format == "JPEG"]
    forwarded = next(each for each in copied if each.orientation == 1)
    copied.remove(forwarded)
    return [
        *originals,
        *(replace(each, name=f"copy-of-{each.name}", copy_of=each.name) for each in copied[:copies]),
        replace(forwarded, name=f"forwarded-{forwarded.name}", is_forwarded=True),
        *_defective(seed, defective, first_number=len(originals)),
    ]


def draw_photo(plan: PhotoPlan) -> bytes:
    """The planned file's bytes; the same plan gives the same bytes."""
    rng = np.random.default_rng(plan.seed)
    if plan.defect is not None:
        size_px = _BROKEN_SIZES_PX.get(plan.defect)
        picture = draw_product(plan.product, rng, size_px) if size_px else Image.new("RGB", (1, 1))
        return broken_file(plan.defect, plan.name.rsplit(".", 1)[1], picture, rng)
    shot = None if plan.scene is any_scene else _STEADY
    picture = draw_product(plan.product, rng, plan.size_px, shot, plan.scene)
    if plan.is_forwarded:
        return _forwarded(encode(picture, "JPEG", plan.quality))
    quality = plan.quality
    data = encode(picture, plan.file_format, quality, plan.orientation, plan.taken_at)
    while len(data) > MOST_BYTES and plan.file_format != "PNG":
        quality -= 8
        data = encode(picture, plan.file_format, quality, plan.orientation, plan.taken_at)
    return data


def _forwarded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        size_px = (round(picture.width * _SENT_SHARE), round(picture.height * _SENT_SHARE))
        return encode(picture.resize(size_px, Image.Resampling.LANCZOS), "JPEG", _SENT_QUALITY)


def _originals(seed: int, count: int) -> list[PhotoPlan]:
    """Photos of products in random order; every tenth shows a price tag, every fourteenth an EAN label."""
    deck = [PRODUCTS[int(place)] for place in np.random.default_rng([seed, 0]).permutation(len(PRODUCTS))]
    plans: list[PhotoPlan] = []
    names: Counter[str] = Counter()
    for number in range(count):
        product = deck[number % len(deck)]
        stem, scene = _scene(number, product)
        plan = _any_original(seed, number, product, scene)
        names[stem] += 1
        again = f"-{names[stem]}" if names[stem] > 1 else ""
        turned = f"-exif-orientation-{plan.orientation}" if plan.orientation != 1 else ""
        plans.append(replace(plan, name=f"{stem}{again}{turned}.{_ENDINGS[plan.file_format]}"))
    return plans


def _scene(number: int, product: Product) -> tuple[str, Scene]:
    """The photo's name without ending, and its scene."""
    is_loose = product.look.shape in PRODUCE
    if number % 10 == 3:
        return f"price-tag-{_slug(product.name)}", close_ups.price_tag
    if number % 14 == 6 and not is_loose:
        return f"ean-label-{_slug(product.name)}", close_ups.ean_label
    return _slug(product.name) if is_loose else f"{_slug(product.name)}-{product.kind}", any_scene


def _any_original(seed: int, number: int, product: Product, scene: Scene) -> PhotoPlan:
    rng = np.random.default_rng([seed, number, 1])
    file_format = "JPEG"
    if scene is any_scene:
        file_format = "PNG" if number % 19 == 5 else "WEBP" if number % 13 == 7 else "JPEG"
    # A PNG keeps the sensor's noise and is therefore many times as large.
    longest_px = 256 if file_format == "PNG" else int(rng.integers(560, 1000))
    shortest_px = round(longest_px * (0.75, 0.75, 0.667, 1.0, 0.5625)[int(rng.integers(5))])
    is_wide = rng.random() < 0.45 or scene is close_ups.price_tag
    is_turned = file_format == "JPEG" and rng.random() < 0.2
    return PhotoPlan(
        name="",
        seed=(seed, number),
        product=product,
        scene=scene,
        size_px=(longest_px, shortest_px) if is_wide else (shortest_px, longest_px),
        file_format=file_format,
        quality=int(rng.choice([85, 85, 80, 75, 60])),
        orientation=int(rng.choice([6, 6, 6, 8, 8, 3, 2, 4, 5, 7])) if is_turned else 1,
        taken_at=_TAKEN_AT if rng.random() < 0.5 else None,
    )


def _defective(seed: int, count: int, first_number: int) -> list[PhotoPlan]:
    kinds = [(defect, ending) for defect, endings in DEFECTS.items() for ending in endings]
    plans = []
    for place in range(count):
        defect, ending = kinds[place % len(kinds)]
        number = first_number + place
        again = f"-{place // len(kinds) + 1}" if place >= len(kinds) else ""
        name = f"{defect.replace('_', '-')}{again}.{ending}"
        plans.append(PhotoPlan(name, (seed, number), PRODUCTS[number % len(PRODUCTS)], defect=defect))
    return plans


def _slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
